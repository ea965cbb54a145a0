"""`dbos-config.yaml`: settings of an application beside its code, and how `dbos start` starts it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbos._error import DBOSInitializationError

FILE_NAME = "dbos-config.yaml"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_RUNTIME_KEYS = frozenset({"start", "setup", "run_admin_server", "admin_port"})
_ADMIN_KEYS = ("run_admin_server", "admin_port")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What the file says; empty when there is none."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """By the keys of DBOSConfig, unchecked; what is empty counts as absent."""
    start: tuple[str, ...] = ()
    """The commands of `dbos start`, in order."""
    unknown: tuple[str, ...] = ()
    """Keys below `runtimeConfig` that mean nothing."""


def read_config_file(folder: Path, environment: Mapping[str, str]) -> ConfigFile:
    """The settings in a folder's `dbos-config.yaml`; `${NAME}` in a text is the variable, empty when it is not set.

    Raises DBOSInitializationError for a file that cannot be read, naming the place.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ConfigFile()
    except (OSError, UnicodeDecodeError) as error:
        raise DBOSInitializationError(f"{FILE_NAME}: cannot be read: {error}") from error
    return parse_config_file(text, environment)


def parse_config_file(text: str, environment: Mapping[str, str]) -> ConfigFile:
    """As read_config_file, for the text of a file."""
    import yaml  # noqa: PLC0415 -- most applications have no such file

    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DBOSInitializationError(f"{FILE_NAME}: expected YAML: {' '.join(str(error).split())}") from error
    if given is None:
        return ConfigFile()
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise DBOSInitializationError(f"{FILE_NAME}: expected keys and values, got {given!r}")
    filled = _filled(given, environment)
    runtime = filled.pop("runtimeConfig", None) or {}
    if not isinstance(runtime, dict):
        raise DBOSInitializationError(f"{FILE_NAME}: runtimeConfig: expected keys and values, got {runtime!r}")
    filled.pop("language", None)
    admin = {key: runtime[key] for key in _ADMIN_KEYS if key in runtime}
    settings = {key: value for key, value in {**admin, **filled}.items() if value not in (None, "")}
    unknown = tuple(sorted(f"runtimeConfig.{key}" for key in runtime if key not in _RUNTIME_KEYS))
    return ConfigFile(settings, _commands(runtime.get("start")), unknown)


def _commands(given: object) -> tuple[str, ...]:
    commands = [given] if isinstance(given, str) else given or []
    if not isinstance(commands, Sequence) or not all(isinstance(command, str) for command in commands):
        raise DBOSInitializationError(f"{FILE_NAME}: runtimeConfig.start: expected a list of commands, got {given!r}")
    return tuple(commands)


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda name: environment.get(name[1], ""), value)
    if isinstance(value, list):
        return [_filled(each, environment) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, environment) for key, each in value.items()}
    return value
