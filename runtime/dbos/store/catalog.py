"""Named SQL statements, read from the .sql files of a package.

A file holds statements that start with a line `-- name`; `{schema}` stands for the quoted system
schema, `:parameter` for a bound value and `{include name}` for the text of another statement of the
package. The lines of comment that follow say why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

_TITLE = re.compile(r"^-- ([a-z][a-z0-9_]*)$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_INCLUDE = re.compile(r"\{include ([a-z][a-z0-9_]*)\}")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


def quote_identifier(name: str) -> str:
    """A name as PostgreSQL reads it literally, whatever characters it holds."""
    return '"' + name.replace('"', '""') + '"'


class Catalog(Mapping[str, str]):
    """The statements of a package by name, ready for psycopg (`%(parameter)s`)."""

    def __init__(self, statements: Mapping[str, str]) -> None:
        self._statements = dict(statements)
        self._queries = {name: text.encode() for name, text in self._statements.items()}

    @classmethod
    def load(
        cls,
        *packages: str,
        schema: str,
        overrides: Sequence[str] = (),
        translate: Callable[[str], str] | None = None,
    ) -> Catalog:
        """Read every .sql file of the packages, for one system schema.

        Statements of `overrides` take the place of those of the same name. `translate` turns a statement into
        the words of another database; without it statements are ready for psycopg.
        Raises ValueError when two statements share a name.
        """
        texts: dict[str, str] = {}
        for package in packages:
            for name, text in _read(files(package)):
                if name in texts:
                    raise ValueError(f"statement {name!r} is defined twice in {', '.join(packages)}")
                texts[name] = _bare(text)
        for package in overrides:
            texts |= {name: _bare(text) for name, text in _read(files(package))}
        expanded = {name: _expand(name, texts, ()) for name in texts}
        if translate is not None:
            return cls({name: translate(text) for name, text in expanded.items()})
        return cls({name: _bind(text, schema) for name, text in expanded.items()})

    def query(self, name: str) -> bytes:
        """A statement as the driver takes it; the same object each time."""
        return self._queries[name]

    def __getitem__(self, name: str) -> str:
        return self._statements[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)


def _read(folder: Traversable) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        text = file.read_text(encoding="utf-8")
        titles = list(_TITLE.finditer(text))
        ends = [title.start() for title in titles[1:]] + [len(text)]
        for title, end in zip(titles, ends, strict=True):
            yield title[1], text[title.end() : end]


def _bare(text: str) -> str:
    return _COMMENT.sub("", text).strip().rstrip(";")


def _expand(name: str, texts: Mapping[str, str], outer: tuple[str, ...]) -> str:
    if name in outer:
        raise ValueError(f"statement {name!r} includes itself by way of {' -> '.join(outer)}")
    return _INCLUDE.sub(lambda use: _expand(use[1], texts, (*outer, name)), texts[name])


def _bind(text: str, schema: str) -> str:
    statement = _PARAMETER.sub(r"%(\1)s", text.replace("%", "%%"))
    return statement.replace("{schema}", quote_identifier(schema).replace("%", "%%"))
