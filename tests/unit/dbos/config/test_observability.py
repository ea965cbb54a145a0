"""Settings of logs and OpenTelemetry."""

from __future__ import annotations

from typing import Any

import pytest

from dbos._error import DBOSInitializationError
from dbos.config.observability import AttributeFormat, LogOptions, OtlpOptions, parse_logs, parse_otlp


def test_levels_follow_the_first_one_unless_they_are_given() -> None:
    assert parse_logs({}) == LogOptions(level="INFO", console_level="INFO", otlp_level="INFO")
    assert parse_logs({"log_level": "debug", "console_log_level": "Error"}) == LogOptions(
        level="DEBUG", console_level="ERROR", otlp_level="DEBUG"
    )


def test_nothing_is_sent_unless_it_is_enabled() -> None:
    assert parse_otlp({"otlp_traces_endpoints": ["http://collector:4318/v1/traces"]}) is None
    assert parse_otlp({"enable_otlp": False}) is None
    assert parse_otlp({"enable_otlp": True}) == OtlpOptions()


def test_everything_that_is_given_is_taken() -> None:
    given = {
        "enable_otlp": True,
        "otlp_traces_endpoints": ["http://one:4318/v1/traces", "https://two/v1/traces"],
        "otlp_logs_endpoints": ["http://one:4318/v1/logs"],
        "otlp_attributes": {"team": "blue"},
        "otel_attribute_format": "semconv",
        "otel_propagate_context": False,
    }
    assert parse_otlp(given) == OtlpOptions(
        traces=("http://one:4318/v1/traces", "https://two/v1/traces"),
        logs=("http://one:4318/v1/logs",),
        attributes={"team": "blue"},
        format=AttributeFormat.SEMCONV,
        propagates=False,
    )


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("enable_otlp", "yes", "True or False"),
        ("otel_propagate_context", 1, "True or False"),
        ("otlp_traces_endpoints", "http://one", "a list of http:// or https:// addresses"),
        ("otlp_traces_endpoints", ["one:4317"], "a list of http:// or https:// addresses"),
        ("otlp_logs_endpoints", [7], "a list of http:// or https:// addresses"),
        ("otlp_attributes", {"team": 7}, "a dictionary of texts"),
        ("otlp_attributes", ["team"], "a dictionary of texts"),
        ("otel_attribute_format", "other", "'legacy' or 'semconv'"),
    ],
)
def test_a_value_that_cannot_be_is_named_even_while_nothing_is_sent(key: str, value: Any, expected: str) -> None:
    with pytest.raises(DBOSInitializationError, match=f"{key}: expected {expected}"):
        parse_otlp({key: value})


@pytest.mark.parametrize("key", ["log_level", "console_log_level", "otlp_log_level"])
@pytest.mark.parametrize("value", ["LOUD", 10])
def test_a_level_that_does_not_exist_is_named(key: str, value: Any) -> None:
    with pytest.raises(DBOSInitializationError, match=f"{key}: expected one of DEBUG, INFO"):
        parse_logs({key: value})
