"""The statements of a script of SQLite, one by one."""

from __future__ import annotations

import sqlite3


def split_statements(text: str) -> list[str]:
    """The statements of a file: sqlite3's own executescript would commit the transaction around it."""
    statements: list[str] = []
    current = ""
    for line in text.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
