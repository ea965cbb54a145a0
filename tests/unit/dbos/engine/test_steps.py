"""The plan of a step, effect by effect: what is called, what is written, when it waits."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from dbos._error import (
    DBOSMaxStepRetriesExceeded,
    DBOSStepNondeterminismError,
    DBOSUnexpectedStepError,
    DBOSWorkflowCancelledError,
    DBOSWorkflowConflictIDError,
)
from dbos.core.ids import OwnerToken, WorkflowId
from dbos.core.outcome import Outcome
from dbos.core.retry import RetryPolicy
from dbos.engine.context import Execution, current_step
from dbos.engine.plan import Invoke, Read, Wait, Write
from dbos.engine.registry import StepFunction
from dbos.engine.steps import replay, run_step
from dbos.serialization.decoding import decode_error, decode_value
from dbos.serialization.encoding import encode_error, encode_value
from dbos.store.records import StepAnswer
from dbos.store.rows import Checkpoint, StepRecord
from dbos.telemetry import StepEnded, Telemetry

WRITTEN = StepAnswer(owned=True, written=True, status="PENDING")


class Stage:
    """Performs the plan of a step with given answers, and keeps its effects."""

    def __init__(self, *, answer: StepAnswer = WRITTEN, existing: Checkpoint | None = None) -> None:
        self.answer, self.existing = answer, existing
        self.effects: list[Any] = []
        self.events: list[Any] = []
        telemetry = Telemetry()
        telemetry.subscribe(self.events.append)
        self.services: Any = SimpleNamespace(
            telemetry=telemetry,
            tracing=None,
            claimant=SimpleNamespace(application="orders"),
            serialization="py_pickle",
        )
        self.execution = Execution(workflow_id=WorkflowId("w"), owner=OwnerToken("o"), name="work")

    def run(self, function: Callable[..., Any], **options: Any) -> Any:
        """The result of a step, or what it raises."""
        step = StepFunction(name="step", function=function, is_async=False, **options)
        plan = run_step(self.services, self.execution, step, (), {})
        try:
            effect = next(plan)
            while True:
                self.effects.append(effect)
                effect = plan.send(self._perform(effect))
        except StopIteration as done:
            return done.value.unwrap()

    def _perform(self, effect: Any) -> Any:
        match effect:
            case Invoke(function, args, kwargs, _):
                try:
                    return Outcome(function(*args, **kwargs))
                except Exception as error:  # noqa: BLE001 -- as the interpreters do
                    return Outcome(error=error)
            case Write(_):
                return self.answer
            case Read(_):
                return self.existing
        return None

    @property
    def record(self) -> StepRecord:
        """The one record that was written."""
        [record] = [effect.record for effect in self.effects if isinstance(effect, Write)]
        assert isinstance(record, StepRecord)
        return record

    @property
    def waits(self) -> list[float]:
        """How long the plan waited, each time."""
        return [effect.seconds for effect in self.effects if isinstance(effect, Wait)]


def _checkpoint(**fields: Any) -> Checkpoint:
    given = {
        "function_id": 1,
        "function_name": "step",
        "output": encode_value("recorded", None),
        "error": None,
        "serialization": "py_pickle",
        "child_workflow_id": None,
        "completed_at_ms": 7,
    }
    return Checkpoint(**{**given, **fields})


def test_a_step_is_called_and_then_recorded() -> None:
    stage = Stage()
    assert stage.run(lambda: 5) == 5
    assert [type(effect) for effect in stage.effects] == [Invoke, Write]
    record = stage.record
    assert (record.workflow_id, record.owner, record.function_id, record.function_name) == ("w", "o", 1, "step")
    assert (decode_value(record.output, record.serialization), record.error) == (5, None)
    assert [(event.step, event.outcome, event.retries) for event in stage.events if isinstance(event, StepEnded)] == [
        ("step", "success", 0)
    ]


def test_a_step_knows_itself_while_it_runs_and_nothing_does_afterwards() -> None:
    seen: list[Any] = []
    Stage().run(lambda: seen.append(current_step.get()))
    assert (seen[0].function_id, seen[0].name, seen[0].attempt, seen[0].max_attempts) == (1, "step", 1, 1)
    assert current_step.get() is None


def test_a_recorded_step_is_not_called_again() -> None:
    stage = Stage()
    stage.execution.checkpoints[1] = _checkpoint()
    assert stage.run(lambda: pytest.fail("called")) == "recorded"
    assert stage.effects == []


def test_a_recorded_error_is_raised_again() -> None:
    stage = Stage()
    stage.execution.checkpoints[1] = _checkpoint(output=None, error=encode_error(KeyError("k"), None))
    with pytest.raises(KeyError, match="k"):
        stage.run(lambda: pytest.fail("called"))


def test_another_step_in_its_place_is_told_by_both_names() -> None:
    stage = Stage()
    stage.execution.checkpoints[1] = _checkpoint(function_name="other")
    with pytest.raises(DBOSUnexpectedStepError, match="called step as step 1, where other is recorded"):
        stage.run(lambda: None)


def test_an_operation_without_a_checkpoint_has_no_outcome_yet() -> None:
    execution = Execution(workflow_id=WorkflowId("w"), owner=OwnerToken("o"), name="work")
    assert replay(execution, 1, "step") is None


def test_retries_wait_longer_each_time_and_keep_every_error() -> None:
    stage = Stage()
    errors = iter([ConnectionError("1"), ConnectionError("2"), ConnectionError("3")])

    def fail() -> None:
        raise next(errors)

    policy = RetryPolicy(allowed=True, interval_seconds=2, max_attempts=3, backoff_rate=3)
    with pytest.raises(DBOSMaxStepRetriesExceeded) as caught:
        stage.run(fail, retry=policy)
    assert stage.waits == [2, 6]
    assert [str(error) for error in caught.value.errors] == ["1", "2", "3"]
    stored = decode_error(stage.record.error or "", "py_pickle")
    assert isinstance(stored, DBOSMaxStepRetriesExceeded)
    assert [(event.outcome, event.retries) for event in stage.events] == [("error", 2)]


def test_without_retries_the_error_itself_is_raised_and_recorded() -> None:
    stage = Stage()

    def fail() -> None:
        raise ConnectionError("once")

    with pytest.raises(ConnectionError, match="once"):
        stage.run(fail)
    assert stage.waits == []
    assert isinstance(decode_error(stage.record.error or "", "py_pickle"), ConnectionError)


@pytest.mark.parametrize("attempts", [1, 3])
def test_should_retry_ends_the_attempts(attempts: int) -> None:
    stage = Stage()
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise ConnectionError(len(tries))

    policy = RetryPolicy(allowed=True, interval_seconds=1, max_attempts=9)
    with pytest.raises(ConnectionError):
        stage.run(fail, retry=policy, should_retry=lambda error: error.args[0] < attempts)
    assert len(tries) == attempts


def test_a_should_retry_that_fails_is_the_outcome() -> None:
    stage = Stage()

    def fail() -> None:
        raise ConnectionError

    def broken(_error: BaseException) -> bool:
        raise LookupError("predicate")

    with pytest.raises(LookupError, match="predicate"):
        stage.run(fail, retry=RetryPolicy(allowed=True), should_retry=broken)
    assert isinstance(decode_error(stage.record.error or "", "py_pickle"), LookupError)


def test_a_result_that_cannot_be_stored_is_the_error_that_is_recorded() -> None:
    stage = Stage()
    with pytest.raises(Exception, match="pickle"):
        stage.run(lambda: lambda: None)
    assert stage.record.output is None
    assert "pickle" in str(decode_error(stage.record.error or "", "py_pickle"))


@pytest.mark.parametrize(
    ("status", "signal"),
    [
        ("CANCELLED", DBOSWorkflowCancelledError),
        ("ENQUEUED", DBOSWorkflowConflictIDError),
        (None, DBOSWorkflowConflictIDError),
    ],
)
def test_an_execution_that_lost_its_workflow_stops_by_a_signal(status: str | None, signal: type[BaseException]) -> None:
    stage = Stage(answer=StepAnswer(owned=False, written=False, status=status))
    with pytest.raises(signal):
        stage.run(lambda: 5)


def test_a_row_of_another_outcome_is_told_and_ones_own_is_not() -> None:
    there = StepAnswer(owned=True, written=False, status="PENDING")
    with pytest.raises(DBOSStepNondeterminismError):
        Stage(answer=there, existing=_checkpoint(completed_at_ms=7)).run(lambda: 5)

    stage = Stage(answer=there)

    def finish() -> int:
        return 5

    step = StepFunction(name="step", function=finish, is_async=False)
    plan = run_step(stage.services, stage.execution, step, (), {})
    next(plan)
    write = plan.send(Outcome(5))
    assert isinstance(write, Write)
    assert isinstance(write.record, StepRecord)
    assert isinstance(plan.send(there), Read)
    with pytest.raises(StopIteration) as done:
        plan.send(_checkpoint(completed_at_ms=write.record.completed_at_ms))
    assert done.value.value == Outcome(5)
