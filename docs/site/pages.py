"""Tables that the code defines, written into pages that a git host shows: `make docs` writes, `--check` only looks."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import tables

DOCS = Path(__file__).parents[1]
WRITTEN: dict[str, dict[str, Callable[[], str]]] = {
    "configuration.md": {"keys": tables.configuration},
    "errors.md": {"errors": tables.errors},
}
"""By page: the places in it, and what stands there."""


def filled(page: str, text: str) -> str:
    """The page with its tables as the code defines them. Raises ValueError for one without a place for them."""
    for place, table in WRITTEN[page].items():
        begin, end = f"<!-- {place}: written by `make docs` -->", f"<!-- the end of the {place} -->"
        parts = re.fullmatch(rf"(.*{re.escape(begin)}\n).*?(\n?{re.escape(end)}.*)", text, re.DOTALL)
        if parts is None:
            raise ValueError(f"{page}: expected the lines {begin!r} and {end!r}")
        text = f"{parts[1]}\n{table()}\n{parts[2].lstrip()}"
    return text


def main() -> int:
    """Write the pages; with `--check` say which ones would change, and end with 1."""
    stale = 0
    for page in WRITTEN:
        before = (DOCS / page).read_text(encoding="utf-8")
        after = filled(page, before)
        if before == after:
            continue
        stale = 1
        if "--check" in sys.argv:
            sys.stderr.write(f"docs/{page} does not say what the code says: run `make docs`\n")
        else:
            (DOCS / page).write_text(after, encoding="utf-8")
            sys.stdout.write(f"docs/{page} written\n")
    return stale if "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
