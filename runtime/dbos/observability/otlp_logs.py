"""Lines of the logger `dbos` as OpenTelemetry log records."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any

from opentelemetry import _logs, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import get_current

from dbos.config.observability import OtlpOptions
from dbos.engine.context import current_execution
from dbos.observability.attributes import AttributeNames

_SEVERITIES = {
    "DEBUG": ("DEBUG", SeverityNumber.DEBUG),
    "INFO": ("INFO", SeverityNumber.INFO),
    "WARNING": ("WARN", SeverityNumber.WARN),
    "ERROR": ("ERROR", SeverityNumber.ERROR),
    "CRITICAL": ("FATAL", SeverityNumber.FATAL),
}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class OtlpHandler(logging.Handler):
    """Emits each line with where it was written, what was written beside it, and the workflow and span around it."""

    def __init__(self, level: str, options: OtlpOptions, names: AttributeNames, fixed: Mapping[str, str]) -> None:
        super().__init__(level)
        self._names = names
        self._fixed = {**names.all(fixed), **options.attributes}

    def emit(self, record: logging.LogRecord) -> None:
        """As logging.Handler: never raises."""
        try:
            _logs.get_logger(record.name).emit(self._translated(record))
        except Exception:  # noqa: BLE001 -- the boundary of logging: a line must not fail who wrote it
            self.handleError(record)

    def _translated(self, record: logging.LogRecord) -> LogRecord:
        severity, number = _SEVERITIES.get(record.levelname, (record.levelname, None))
        return LogRecord(
            timestamp=int(record.created * 1e9),
            context=get_current(),
            severity_text=severity,
            severity_number=number,
            body=record.getMessage(),
            attributes=self._attributes(record),
        )

    def _attributes(self, record: logging.LogRecord) -> dict[str, Any]:
        attributes = {name: _plain(value) for name, value in vars(record).items() if name not in _STANDARD}
        execution = current_execution.get()
        around = {} if execution is None else {"operationUUID": str(execution.workflow_id)}
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            around["traceId"] = trace.format_trace_id(span.trace_id)
        attributes |= self._names.all(around) | self._fixed
        attributes["code.file.path"] = record.pathname
        attributes["code.function.name"] = record.funcName or ""
        attributes["code.line.number"] = record.lineno
        if record.exc_info is not None and record.exc_info[1] is not None:
            error = record.exc_info[1]
            attributes["exception.type"] = type(error).__name__
            attributes["exception.message"] = str(error)
            attributes["exception.stacktrace"] = "".join(traceback.format_exception(error))
        return attributes


def _plain(value: object) -> str | bool | int | float:
    return value if isinstance(value, str | bool | int | float) else str(value)
