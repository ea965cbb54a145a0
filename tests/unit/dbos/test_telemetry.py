"""Events reach every observer, and an observer's fault reaches nobody."""

from __future__ import annotations

import logging

import pytest

from dbos.telemetry import Event, Telemetry, WorkflowsRecovered


def test_every_observer_is_told_in_the_order_of_subscription() -> None:
    telemetry = Telemetry()
    told: list[tuple[str, Event]] = []
    telemetry.subscribe(lambda event: told.append(("first", event)))
    telemetry.subscribe(lambda event: told.append(("second", event)))
    telemetry.emit(WorkflowsRecovered(3))
    assert told == [("first", WorkflowsRecovered(3)), ("second", WorkflowsRecovered(3))]


def test_an_observer_that_fails_is_logged_and_the_next_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_event: Event) -> None:
        raise ValueError("observer")

    telemetry = Telemetry()
    told: list[Event] = []
    telemetry.subscribe(broken)
    telemetry.subscribe(told.append)
    with caplog.at_level(logging.ERROR, "dbos"):
        telemetry.emit(WorkflowsRecovered(1))
    assert told == [WorkflowsRecovered(1)]
    assert "observer" in caplog.text
