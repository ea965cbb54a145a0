"""`make bench-page`: the tables of docs/performance.md, from the run in docs/performance.json."""

from __future__ import annotations

from pathlib import Path

from benchmarks.suite.report import as_markdown
from benchmarks.suite.results import read_run

_DOCS = Path(__file__).parents[2] / "docs"
PAGE, RUN = _DOCS / "performance.md", _DOCS / "performance.json"
_BEGIN = "<!-- the run: written by `make bench-page` -->\n"
_END = "<!-- the end of the run -->\n"


def with_tables(page: str, tables: str) -> str:
    """The page with other tables. Raises ValueError where the page does not say where they go."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"expected the lines {_BEGIN.strip()!r} and {_END.strip()!r} in the page")
    return f"{before}{begin}\n{tables}\n{end}{after}"


def main() -> None:
    """Write the tables into the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_tables(page, as_markdown(read_run(RUN))), encoding="utf-8")


if __name__ == "__main__":
    main()
