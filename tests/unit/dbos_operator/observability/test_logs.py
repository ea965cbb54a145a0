"""A log line keeps its fields in both formats."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from dbos_operator.observability.logs import (
    DRIVER,
    NOISY,
    JsonFormatter,
    LogFormat,
    TextFormatter,
    configure_logging,
    soften,
)


def a_record(message: str = "scaled", **fields: object) -> logging.LogRecord:
    record = logging.makeLogRecord(
        {"name": "dbos_operator.loop", "levelno": logging.INFO, "levelname": "INFO", "msg": message, "created": 0.25}
    )
    vars(record).update(fields)
    return record


def a_failure() -> logging.LogRecord:
    try:
        int("broken")
    except ValueError:
        return a_record("failed", exc_info=sys.exc_info())


def test_text_is_one_line_with_its_fields() -> None:
    line = TextFormatter().format(a_record(queue="emails", replicas=3))
    assert line == "1970-01-01T00:00:00.250Z INFO dbos_operator.loop scaled queue=emails replicas=3"


def test_text_quotes_what_could_be_misread() -> None:
    line = TextFormatter().format(a_record(error='two words\nand "quotes"', empty=""))
    assert line.endswith('error="two words\\nand \\"quotes\\"" empty=""')


def test_json_is_one_object_a_line() -> None:
    line = JsonFormatter().format(a_record("a\nb", queue="emails"))
    assert "\n" not in line
    assert json.loads(line) == {
        "timestamp": "1970-01-01T00:00:00.250Z",
        "level": "info",
        "logger": "dbos_operator.loop",
        "message": "a\nb",
        "queue": "emails",
    }


def test_both_formats_keep_the_traceback() -> None:
    assert "ValueError: invalid literal" in TextFormatter().format(a_failure())
    assert "ValueError: invalid literal" in json.loads(JsonFormatter().format(a_failure()))["exception"]


def test_a_field_that_json_does_not_know_is_written_as_text() -> None:
    assert json.loads(JsonFormatter().format(a_record(path=ValueError("x"))))["path"] == "x"


def test_what_kopf_tries_again_is_a_warning_without_its_settings() -> None:
    record = a_record("Request attempt #1 failed; will retry: GET /api", settings=object(), k8s_skip=True)
    record.name, record.levelname, record.levelno = "kopf._core.reactor", "ERROR", logging.ERROR

    assert soften(record)

    line = TextFormatter().format(record)
    assert " WARNING kopf._core.reactor Request attempt" in line
    assert line.endswith("GET /api")


def test_an_error_of_ours_stays_one() -> None:
    record = a_record("will retry")
    record.levelname, record.levelno = "ERROR", logging.ERROR

    assert soften(record)
    assert record.levelno == logging.ERROR


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was afterwards."""
    root = logging.getLogger()
    touched = [root, *(logging.getLogger(name) for name in (DRIVER, *NOISY))]
    handlers, levels = root.handlers[:], [logger.level for logger in touched]
    yield root
    root.handlers[:] = handlers
    for logger, level in zip(touched, levels, strict=True):
        logger.setLevel(level)
    logging.captureWarnings(capture=False)


def test_a_lost_connection_is_told_once_and_in_full_only_for_who_asks(root: logging.Logger) -> None:
    configure_logging(LogFormat.TEXT, "info")
    assert not logging.getLogger(DRIVER).isEnabledFor(logging.WARNING)
    configure_logging(LogFormat.TEXT, "debug")
    assert logging.getLogger(DRIVER).isEnabledFor(logging.WARNING)
