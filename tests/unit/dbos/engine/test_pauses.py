"""Pauses: woken by news, over in time, and ended when the workflow is somebody else's."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from dbos._error import DBOSWorkflowCancelledError, DBOSWorkflowConflictIDError
from dbos.core.ids import OwnerToken, WorkflowId
from dbos.engine import watch
from dbos.engine.context import Execution, ExecutionStoppedError
from dbos.engine.pauses import LONGEST_SECONDS, pausing
from dbos.engine.plan import Await
from dbos.engine.waiting import Channel, Signals, Topic
from dbos.engine.watch import OwnershipWatch
from dbos.store.operation import DatabaseClosedError, Operation
from support.waiting import eventually


class Owners:
    """A database that knows who owns which workflow, and counts how often it is asked."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, str | None]] = {}
        self.asked: list[list[str]] = []
        self.failure: Exception | None = None

    def run(self, operation: Callable[[], Operation[Any]]) -> Any:
        performed = operation()
        ids = next(performed).parameters["ids"]
        self.asked.append(ids)
        if self.failure is not None:
            raise self.failure
        try:
            performed.send(
                [
                    {"workflow_uuid": known, "status": self.rows[known][0], "owner_xid": self.rows[known][1]}
                    for known in ids
                    if known in self.rows
                ]
            )
        except StopIteration as done:
            return done.value
        raise AssertionError("one statement is expected")


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> Owners:
    """Nobody owns anything yet; the watch looks often."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.02)
    return Owners()


@pytest.fixture
def services(owners: Owners) -> Any:
    """What a pause needs."""
    signals = Signals()
    return SimpleNamespace(signals=signals, watch=OwnershipWatch(owners, signals))  # type: ignore[arg-type]


def an_execution(name: str = "w") -> Execution:
    """The execution of a workflow that `owner` owns."""
    return Execution(workflow_id=WorkflowId(name), owner=OwnerToken("owner"), name="n")


def test_news_of_any_of_its_keys_end_a_pause(services: Any) -> None:
    topic = Topic(Channel.EVENTS, "w", "key")
    with pausing(services, None, topic.key, "other") as pause:
        for ring in (
            lambda: services.signals.ring("other"),
            lambda: services.signals.ring_topic("dbos_workflow_events_channel", "w::key"),
            services.signals.ring_all,
        ):
            pause.rearm()
            effect = next(pause.until(None))
            assert isinstance(effect, Await)
            assert not effect.future.done()
            services.signals.ring_topic("dbos_streams_channel", "w::key")
            assert not effect.future.done()
            ring()
            assert effect.future.done()


def test_a_pause_lasts_no_longer_than_its_moment_or_its_bound(services: Any) -> None:
    with pausing(services, None, "key") as pause:
        began = time.time()
        seconds = [
            next(pause.until(moment, **bound)).seconds  # type: ignore[union-attr]
            for moment, bound in ((None, {}), (time.time() + 10**6, {}), (began + 5, {}), (None, {"at_most": 2}))
        ]
        assert seconds[:2] == [LONGEST_SECONDS] * 2
        assert 5 - (time.time() - began) - 0.1 <= seconds[2] <= 5.1
        assert seconds[3] == 2
        assert list(pause.until(time.time() - 1)) == []


@pytest.mark.parametrize(
    ("row", "signal"),
    [
        (("CANCELLED", None), DBOSWorkflowCancelledError),
        (("PENDING", "another"), DBOSWorkflowConflictIDError),
        (None, DBOSWorkflowConflictIDError),
    ],
)
def test_a_workflow_that_is_somebody_elses_is_woken_and_stopped(
    services: Any, owners: Owners, row: Any, signal: type[BaseException]
) -> None:
    if row is not None:
        owners.rows["w"] = row
    with pausing(services, an_execution(), "key") as pause:
        pause.rearm()
        waiting = pause.until(None)
        effect = next(waiting)
        assert isinstance(effect, Await)
        effect.future.result(10)
        with pytest.raises(signal):
            next(waiting)
        pause.rearm()
        with pytest.raises(signal):
            next(pause.until(None))


def test_all_that_wait_are_looked_after_together(services: Any, owners: Owners) -> None:
    owners.rows = {f"w{number}": ("PENDING", "owner") for number in range(5)}
    with ExitStack() as stack:
        for name in owners.rows:
            stack.enter_context(pausing(services, an_execution(name), "key"))
        eventually(lambda: owners.asked, lambda asked: sorted(owners.rows) in asked)


def test_news_of_the_workflow_itself_are_looked_into_at_once(
    services: Any, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 60.0)
    owners.rows = {"w": ("PENDING", "owner")}
    with pausing(services, an_execution(), "key") as pause:
        pause.rearm()
        effect = next(pause.until(None))
        owners.rows = {"w": ("CANCELLED", None)}
        services.signals.ring("w")
        effect.future.result(10)  # type: ignore[union-attr]


def test_a_database_that_fails_is_asked_again_and_one_that_is_closed_is_not(
    services: Any, owners: Owners, caplog: pytest.LogCaptureFixture
) -> None:
    owners.failure = OSError("disk")
    with pausing(services, an_execution(), "key"):
        eventually(lambda: len(owners.asked), lambda asked: asked >= 2)
        owners.failure = DatabaseClosedError()
        thread = services.watch._thread
        eventually(thread.is_alive, lambda alive: not alive)
    assert "could not be read" in caplog.text


def test_a_watch_that_is_stopped_ends_with_every_wait(
    services: Any, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 60.0)
    with pausing(services, an_execution()) as pause:
        pause.rearm()
        waiting = pause.until(None)
        effect = next(waiting)
        services.watch.stop()
        assert effect.future.done()  # type: ignore[union-attr]
        with pytest.raises(ExecutionStoppedError):
            next(waiting)
        eventually(services.watch._thread.is_alive, lambda alive: not alive)
    with pausing(services, an_execution()) as late, pytest.raises(ExecutionStoppedError):
        next(late.until(None))
    assert owners.asked == []
