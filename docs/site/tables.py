"""Tables of the reference, made from what the code defines."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterable, Iterator

import click
from definitions import Field, classes, fields

from dbos.cli.main import main as dbos
from dbos.error import DBOSErrorCode
from dbos_operator.cli.main import dbos_operator

KEYS = "dbos.config.keys.DBOSConfig"
_ENVVAR = re.compile(r"\[env var: \w+\]|env var: \w+; ")
"""What click says of the variable, which has a column of its own."""
COMMANDS = {"dbos": dbos, "dbos-operator": dbos_operator}
GUIDES = {
    "system_database_url": ("SQLite", "sqlite.md"),
    "application_database_url": ("transactions", "transactions.md"),
    "enable_patching": ("versions", "versions.md#change-code-while-workflows-run"),
    "application_version": ("versions", "versions.md"),
    "executor_id": ("recovery", "recovery.md"),
    "serializer": ("serialization", "serialization.md"),
    "scheduler_polling_interval_sec": ("schedules", "schedules.md"),
    "kafka_queue_polling_interval_sec": ("Kafka", "kafka.md"),
    "retention": ("retention", "retention.md"),
    "recovery": ("recovery", "recovery.md"),
    "metrics_port": ("metrics", "metrics.md"),
    "enable_otlp": ("traces and logs", "tracing.md"),
    "run_admin_server": ("the admin server", "admin-server.md"),
}
"""The guide of a key that has one."""
_DEFAULT = re.compile(r"\s*Default: (?P<default>.+)\.$")


def configuration() -> str:
    """Every key of DBOSConfig: type, default, meaning."""
    return _table(("key", "type", "default", "meaning"), (configuration_row(field) for field in fields(KEYS)))


def configuration_row(field: Field) -> tuple[str, str, str, str]:
    """A key with what its docstring says. Raises ValueError when that names no default."""
    default = _DEFAULT.search(field.text)
    if default is None:
        raise ValueError(f"{KEYS}.{field.name}: expected a docstring that ends in 'Default: ….', got {field.text!r}")
    page = GUIDES.get(field.name)
    more = f" See [{page[0]}]({page[1]})." if page else ""
    kind = field.type.removesuffix(" | None")
    return f"`{field.name}`", _code(kind), default["default"], field.text[: default.start()] + more


def fields_of(path: str) -> str:
    """The fields of a class: type and meaning."""
    return _table(
        ("field", "type", "meaning"), ((f"`{each.name}`", _code(_bare(each.type)), each.text) for each in fields(path))
    )


def errors() -> str:
    """Every error with its number and its meaning."""
    rows = sorted(_error_rows(), key=lambda row: row[0])
    return _table(("code", "error", "meaning"), ((str(code), f"`{name}`", text) for code, name, text in rows))


def commands(name: str) -> str:
    """Every command of a program: what it does, its arguments and options."""
    return "\n".join(_command(path, command) for path, command in leaves(name, COMMANDS[name]))


def leaves(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """The commands that do something, with the words that call them."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is not None and not child.hidden:
            yield from leaves(f"{path} {name}", child)


def _command(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    heads = ("option", "variable", "meaning") if any(option.envvar for option in options) else ("option", "meaning")
    rows = ([_spelling(option), _variable(option), _help(option, context)] for option in options)
    table = _table(heads, (tuple(row if len(heads) == 3 else (row[0], row[2])) for row in rows)) if options else ""
    return f"## `{path}`\n\n```console\n$ {usage}\n```\n\n{_prose(command.help or '')}\n\n{table}"


def _spelling(option: click.Option) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(click.Context(click.Command('')))}"
    return ", ".join(_code(f"{name}{value}") for name in [*option.opts, *option.secondary_opts])


def _variable(option: click.Option) -> str:
    names = [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
    return ", ".join(f"`{name}`" for name in names)


def _help(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    return _ENVVAR.sub("", record[1]).strip() if record is not None else ""


def _prose(text: str) -> str:
    """The help as click shows it: `\\b` keeps the lines of a paragraph."""
    paragraphs = text.replace("\f", "").strip().split("\n\n")
    return "\n\n".join(
        f"```text\n{each[1:].strip(chr(10))}\n```" if each.startswith("\b") else " ".join(each.split())
        for each in paragraphs
    )


def _error_rows() -> Iterator[tuple[int, str, str]]:
    codes = {code.name: int(code) for code in DBOSErrorCode}
    for node in classes("dbos._error"):
        base = ast.unparse(node.bases[0]) if node.bases else ""
        named = re.search(r"DBOSErrorCode\.(\w+)", ast.unparse(node))
        if named is not None and base in {"DBOSException", "DBOSBaseException"}:
            yield codes[named[1]], node.name, _first_paragraph(ast.get_docstring(node))


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _bare(annotation: str) -> str:
    """A type without what TypedDict says of presence."""
    return re.sub(r"^(?:Required|NotRequired)\[(.*)\]$", r"\1", annotation)


def _code(text: str) -> str:
    """Text as code in a table, where markdown ends a cell at each bar."""
    return f"`{text}`" if "|" not in text else f"<code>{html.escape(text).replace('|', '&#124;')}</code>"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "&#124;") for cell in line) + " |" for line in lines) + "\n"
