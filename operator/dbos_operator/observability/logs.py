"""Log lines: text for people, JSON for machines; fields given as `extra` are part of both."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OF_KOPF = frozenset({"k8s_ref", "k8s_skip", "settings"})
"""What kopf attaches to its records for its own handlers."""
NOISY = ("kopf", "aiohttp.access", "aiohttp.server", "kubernetes", "asyncio", "urllib3")
"""Libraries whose INFO is of no use to who runs the operator."""
DRIVER = "psycopg"
"""Warns of each pipeline that a lost connection cuts off. The loss itself is raised, and told once."""


class LogFormat(StrEnum):
    """How a line looks."""

    TEXT = "text"
    JSON = "json"


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO dbos_operator.loop message key=value`, with the traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback where there is one."""
        fields = "".join(f" {name}={_word(value)}" for name, value in fields_of(record).items())
        line = f"{_timestamp(record)} {record.levelname} {record.name} {record.getMessage()}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp, level, logger, message, the fields, and `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Exactly one line."""
        entry: dict[str, Any] = {
            "timestamp": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


def configure_logging(log_format: LogFormat, level: str) -> None:
    """Send every log line of the process to standard error, in one format."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter())
    handler.addFilter(soften)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    quiet = logging.WARNING if root.level > logging.DEBUG else logging.INFO
    for name in NOISY:
        logging.getLogger(name).setLevel(max(quiet, root.level))
    logging.getLogger(DRIVER).setLevel(logging.ERROR if root.level > logging.DEBUG else logging.NOTSET)
    logging.captureWarnings(capture=True)


def soften(record: logging.LogRecord) -> bool:
    """Make a warning of what kopf calls an error and tries again by itself."""
    if record.name.startswith("kopf.") and "will retry" in record.getMessage():
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD | _OF_KOPF}


def _timestamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _word(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c.isspace() or c in '"=' for c in text) else text
