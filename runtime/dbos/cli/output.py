"""What commands print: a table for people, JSON and YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import click
import yaml

_WIDEST = 60


class Format(StrEnum):
    """The values of --output."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


output_option = click.option(
    "--output",
    type=click.Choice([each.value for each in Format]),
    help="How to print. Default: json; lists on a terminal: table.",
)


def show(value: Mapping[str, Any], output: str | None) -> None:
    """Print one object."""
    match Format(output or Format.JSON):
        case Format.TABLE:
            plain = _plain(value)
            click.echo(render_table([{"field": key, "value": plain[key]} for key in plain], ["field", "value"]))
        case other:
            click.echo(render(value, other))


def show_list(values: Sequence[Mapping[str, Any]], output: str | None, columns: Sequence[str]) -> None:
    """Print objects; a table has some columns only."""
    chosen = Format(output or (Format.TABLE if sys.stdout.isatty() else Format.JSON))
    if chosen is Format.TABLE:
        click.echo(render_table([_plain(value) for value in values], columns))
    else:
        click.echo(render(list(values), chosen))


def render(value: Any, output: Format) -> str:
    """A value as JSON in one line, or as YAML."""
    if output is Format.YAML:
        text: str = yaml.safe_dump(_plain(value), sort_keys=False, allow_unicode=True)
        return text.rstrip("\n")
    return json.dumps(_plain(value))


def render_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows in columns of equal width, under their names; times as times, long texts cut."""
    lines = [[column.upper() for column in columns]]
    lines += [[_cell(column, row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[position]) for line in lines) for position in range(len(columns))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool) and column.endswith(("_at", "_epoch_ms")):
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = value if isinstance(value, str) else json.dumps(value)
    text = " ".join(text.split())
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _plain(value: Any) -> Any:
    """A value with nothing in it but what JSON knows; the rest as its text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
