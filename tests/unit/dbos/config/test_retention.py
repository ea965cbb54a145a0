"""The key `retention`."""

from __future__ import annotations

from typing import Any

import pytest

from dbos._error import DBOSInitializationError
from dbos.config.file import parse_config_file
from dbos.config.retention import RetentionOptions
from dbos.config.sources import load_settings


def _load(retention: Any) -> RetentionOptions | None:
    return load_settings({"name": "orders", "retention": retention}, {}).retention


def test_without_it_everything_is_kept() -> None:
    assert load_settings({"name": "orders"}, {}).retention is None
    assert _load(None) is None


def test_an_age_or_a_number_is_enough_and_the_rest_has_defaults() -> None:
    assert _load({"max_age_sec": 86400}) == RetentionOptions(max_age_seconds=86400.0)
    assert _load({"max_workflows": 5, "max_age_sec": None}) == RetentionOptions(max_workflows=5)
    options = RetentionOptions(max_workflows=5)
    assert (options.interval_seconds, options.batch_size) == (60.0, 1000)


def test_every_key_is_taken_from_the_file_too() -> None:
    file = parse_config_file(
        "retention: {max_age_sec: 90.5, max_workflows: 7, interval_sec: 5, batch_size: 20}\n", environment={}
    )
    wanted = RetentionOptions(max_age_seconds=90.5, max_workflows=7, interval_seconds=5.0, batch_size=20)
    assert load_settings({"name": "orders"}, {}, file=file).retention == wanted


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "retention: expected max_age_sec, max_workflows or both, got {}"),
        ({"interval_sec": 5}, "retention: expected max_age_sec, max_workflows or both"),
        (7, "retention: expected keys and values such as {'max_age_sec': 604800}, got 7"),
        ({"max_age_days": 7}, "retention.max_age_days: expected one of the keys max_age_sec, max_workflows"),
        ({1: 7}, "retention.1: expected one of the keys"),
        ({"max_age_sec": "7"}, "retention.max_age_sec: expected a number of seconds, got '7'"),
        ({"max_age_sec": True}, "retention.max_age_sec: expected a number of seconds, got True"),
        ({"max_age_sec": 59}, "retention.max_age_sec: expected at least 60 seconds, got 59"),
        ({"max_age_sec": float("nan")}, "retention.max_age_sec: expected at least 60 seconds, got nan"),
        ({"max_age_sec": float("inf")}, "retention.max_age_sec: expected at least 60 seconds, got inf"),
        ({"max_workflows": 0}, "retention.max_workflows: expected from 1 to 2147483647, got 0"),
        ({"max_workflows": 1.5}, "retention.max_workflows: expected a whole number, got 1.5"),
        ({"max_workflows": 2**31}, "retention.max_workflows: expected from 1 to 2147483647"),
        ({"max_workflows": 5, "interval_sec": 0}, "retention.interval_sec: expected at least 1 second, got 0"),
        ({"max_workflows": 5, "batch_size": 0}, "retention.batch_size: expected from 1 to 10000, got 0"),
        ({"max_workflows": 5, "batch_size": 10001}, "retention.batch_size: expected from 1 to 10000, got 10001"),
        ({"max_workflows": 5, "batch_size": False}, "retention.batch_size: expected a whole number, got False"),
    ],
)
def test_what_cannot_be_used_is_named(given: Any, told: str) -> None:
    with pytest.raises(DBOSInitializationError) as refused:
        _load(given)
    assert told in str(refused.value)
