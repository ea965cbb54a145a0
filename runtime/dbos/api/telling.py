"""OpenTelemetry where it is wanted: it is imported then, and not before."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from dbos._error import DBOSInitializationError
from dbos.config.settings import Settings
from dbos.store.dequeue import Claimant

if TYPE_CHECKING:
    from dbos.observability.opentelemetry import OpenTelemetry

EXTRA = "pip install 'dbos-operator[otel]'"


def refuse_without_extra(settings: Settings) -> None:
    """Raise DBOSInitializationError when traces and logs are to be sent and OpenTelemetry is not installed."""
    if settings.otlp is None:
        return
    try:
        otel_module("opentelemetry")
    except ImportError as error:
        raise DBOSInitializationError(f"enable_otlp: {error.msg}; {EXTRA}") from error


def otel_module(name: str) -> ModuleType:
    """A module of `dbos.observability` that needs the extra. Raises ImportError without it."""
    return import_module(f"dbos.observability.{name}")


def open_telemetry(settings: Settings, claimant: Claimant, *, package_version: str) -> OpenTelemetry | None:
    """Record and send as the settings say; None when they do not ask for it."""
    if settings.otlp is None:
        return None
    opened: OpenTelemetry = otel_module("opentelemetry").OpenTelemetry(
        settings.otlp,
        claimant,
        application_id=settings.application_id,
        log_level=settings.logs.otlp_level,
        package_version=package_version,
    )
    return opened
