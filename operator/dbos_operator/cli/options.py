"""The options of `dbos-operator run`: each also a variable, each refused with one line that says what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from dbos_operator.observability.address import Address, parse_address
from dbos_operator.observability.logs import LogFormat
from dbos_operator.resources.duration import parse_duration
from dbos_operator.resources.identity import ObjectKey

PREFIX = "DBOS_OPERATOR"
LOG_LEVELS = ("debug", "info", "warning", "error")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `dbos-operator run` was asked for, checked."""

    namespaces: tuple[str, ...]
    """Empty: all."""
    kubeconfig: str | None
    context: str | None
    metrics_address: Address
    health_address: Address
    tick: timedelta
    default_database: ObjectKey | None
    log_format: LogFormat
    log_level: str


class ManifestPath(click.Path):
    """Where YAML is; whether it is there is looked at with the rest of the folder."""

    expected = "a YAML file or a folder of them"

    def __init__(self) -> None:
        super().__init__(path_type=Path)


class Parsed(click.ParamType):  # type: ignore[type-arg]  # click < 8.3 takes no argument here
    """A value that one function reads; what it cannot read is refused with what it expects."""

    envvar_list_splitter = ","

    def __init__(self, name: str, parse: Callable[[str], Any], *, expected: str) -> None:
        self.name = name
        self._parse = parse
        self.expected = expected

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value; click may hand in a default that has been read already."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value.strip())
        except ValueError as error:
            raise click.BadParameter(f"expected {self.expected}, got {value!r}", ctx=ctx, param=param) from error


def _parse_tick(text: str) -> timedelta:
    tick = parse_duration(text)
    if tick <= timedelta(0):
        raise ValueError(text)
    return tick


def _parse_namespace(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError(text)
    return text


def _parse_object_key(text: str) -> ObjectKey:
    namespace, separator, name = text.partition("/")
    if not separator or not _LABEL.fullmatch(namespace) or not _NAME.fullmatch(name):
        raise ValueError(text)
    return ObjectKey(namespace, name)


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(text)
        return text.lower()

    return parse


ADDRESS = Parsed("address", parse_address, expected="an address such as :9464 or 127.0.0.1:9464")
DURATION = Parsed("duration", _parse_tick, expected="a duration above zero such as 5s, 500ms or 1m30s")
NAMESPACE = Parsed("namespace", _parse_namespace, expected="the name of a namespace (a-z, 0-9 and -)")
OBJECT_KEY = Parsed("namespace/name", _parse_object_key, expected="NAMESPACE/NAME of a DBOSDatabase")
LOG_FORMAT = Parsed("text|json", lambda text: LogFormat(text.lower()), expected="text or json")
LOG_LEVEL = Parsed("level", _one_of(LOG_LEVELS), expected=f"one of {', '.join(LOG_LEVELS)}")


def option(*names: str, **settings: Any) -> Callable[[Any], Any]:
    """A click option whose variable is named after it: `--log-level` is DBOS_OPERATOR_LOG_LEVEL."""
    long_name = next(name for name in names if name.startswith("--"))
    variable = f"{PREFIX}_{long_name.removeprefix('--').replace('-', '_').upper()}"
    return click.option(*names, envvar=variable, show_envvar=True, **settings)


def choose_namespaces(context: click.Context, namespaces: tuple[str, ...], *, all_namespaces: bool) -> tuple[str, ...]:
    """The namespaces to watch; empty means all. The command line wins over the environment."""
    if not (namespaces and all_namespaces):
        return tuple(dict.fromkeys(namespaces))
    named_by = context.get_parameter_source("namespaces")
    all_by = context.get_parameter_source("all_namespaces")
    if named_by == all_by:
        raise click.UsageError("--namespace and --all-namespaces: expected one of them, got both", ctx=context)
    return () if all_by is ParameterSource.COMMANDLINE else tuple(dict.fromkeys(namespaces))


def check_default_database(context: click.Context, database: ObjectKey | None, namespaces: tuple[str, ...]) -> None:
    """Raise BadParameter for a default that the operator would never see, as it is in no namespace that is watched."""
    if database is None or not namespaces or database.namespace in namespaces:
        return
    param = next(param for param in context.command.params if param.name == "default_database")
    watched = ", ".join(namespaces)
    raise click.BadParameter(
        f"expected a DBOSDatabase of a namespace that is watched ({watched}), got '{database}'",
        ctx=context,
        param=param,
    )


def explain(error: click.ClickException) -> str:
    """The one line for a refused command: the option or variable, what was expected, what was given."""
    if not isinstance(error, click.BadParameter) or error.param is None or error.ctx is None:
        return error.format_message()
    source = error.ctx.get_parameter_source(error.param.name or "")
    if source is ParameterSource.ENVIRONMENT:
        name = str(error.param.envvar)
    elif isinstance(error.param, click.Argument):
        name = error.param.human_readable_name
    else:
        name = max(error.param.opts, key=len)
    # click says nothing of what is missing.
    return f"{name}: {error.message or f'expected {expectation(error.param)}, got nothing'}"


def expectation(param: click.Parameter) -> str:
    """What an option or argument takes, in words."""
    return str(getattr(param.type, "expected", "a value"))
