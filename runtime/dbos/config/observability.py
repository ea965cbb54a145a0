"""What an application logs, and whether it tells an OpenTelemetry collector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from dbos.config.refusal import refuse

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class AttributeFormat(StrEnum):
    """How the attributes of spans and logs are called."""

    LEGACY = "legacy"
    """`operationUUID`, `executorID`, …"""
    SEMCONV = "semconv"
    """`dbos.operation.workflow_id`, `dbos.executor.id`, …: as OpenTelemetry names things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """From which level on lines go where."""

    level: str = "INFO"
    console_level: str = "INFO"
    otlp_level: str = "INFO"


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpOptions:
    """Where traces and logs are sent, and with which attributes."""

    traces: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Put on each span and each line."""
    format: AttributeFormat = AttributeFormat.LEGACY
    propagates: bool = True
    """Whether what is started or enqueued in a trace carries it in its row."""


def parse_logs(config: Mapping[str, Any]) -> LogOptions:
    """The levels of a configuration. Raises DBOSInitializationError naming a key."""
    level = _level(config, "log_level") or "INFO"
    return LogOptions(
        level=level,
        console_level=_level(config, "console_log_level") or level,
        otlp_level=_level(config, "otlp_log_level") or level,
    )


def parse_otlp(config: Mapping[str, Any]) -> OtlpOptions | None:
    """Where a configuration sends traces and logs; None: nowhere. Raises DBOSInitializationError naming a key."""
    enabled = _flag(config, "enable_otlp", default=False)
    options = OtlpOptions(
        traces=_endpoints(config, "otlp_traces_endpoints"),
        logs=_endpoints(config, "otlp_logs_endpoints"),
        attributes=_attributes(config, "otlp_attributes"),
        format=_format(config, "otel_attribute_format"),
        propagates=_flag(config, "otel_propagate_context", default=True),
    )
    return options if enabled else None


def _level(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    if value is None:
        return None
    level = value.upper() if isinstance(value, str) else value
    if level not in LOG_LEVELS:
        raise refuse(key, value, expected=f"one of {', '.join(LOG_LEVELS)}")
    return str(level)


def _flag(config: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = config.get(key)
    if value is not None and not isinstance(value, bool):
        raise refuse(key, value, expected="True or False")
    return default if value is None else value


def _endpoints(config: Mapping[str, Any], key: str) -> tuple[str, ...]:
    given = config.get(key)
    if given is None:
        return ()
    if not isinstance(given, list | tuple) or not all(_is_address(each) for each in given):
        raise refuse(key, given, expected="a list of http:// or https:// addresses")
    return tuple(given)


def _is_address(text: object) -> bool:
    if not isinstance(text, str):
        return False
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _attributes(config: Mapping[str, Any], key: str) -> dict[str, str]:
    given = config.get(key)
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(part, str) for item in given.items() for part in item):
        raise refuse(key, given, expected="a dictionary of texts")
    return dict(given)


def _format(config: Mapping[str, Any], key: str) -> AttributeFormat:
    given = config.get(key)
    try:
        return AttributeFormat.LEGACY if given is None else AttributeFormat(given)
    except ValueError:
        raise refuse(key, given, expected="'legacy' or 'semconv'") from None
