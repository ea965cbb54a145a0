"""Waits of workflows and of others: until there is news, until a time, and not beyond the loss of the workflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from dbos.engine.clock import Waiting, clock, epoch_seconds
from dbos.engine.context import Execution, ExecutionStoppedError, lost_ownership
from dbos.engine.plan import Await, Plan
from dbos.engine.services import Services, epoch_ms
from dbos.engine.spans import spanned
from dbos.engine.steps import ensure_owned, new_step, record_checkpoint, replay
from dbos.engine.waiting import Waiter
from dbos.engine.watch import Guarded
from dbos.serialization.encoding import PORTABLE_JSON, encode_value

SLEEP = "DBOS.sleep"
LONGEST_SECONDS = 3600.0
"""How long one wait lasts at most; then the clock is looked at again, which somebody may have set."""


class Pause:
    """A wait that may end early."""

    def __init__(self, waiter: Waiter, guarded: Guarded | None) -> None:
        self._waiter = waiter
        self._guarded = guarded

    def rearm(self) -> None:
        """Count news from here on; call it before looking, so that none are missed."""
        self._waiter.rearm()

    def until(self, moment: float | None, *, at_most: float = LONGEST_SECONDS) -> Plan[None]:
        """Wait for news, until a moment (in epoch seconds) or a while.

        Raises the signal that ends the execution when its workflow was cancelled or taken over meanwhile.
        """
        seconds = at_most if moment is None else min(at_most, moment - epoch_seconds())
        self._check()
        if seconds > 0:
            who = None if self._guarded is None else self._guarded.execution
            with clock().waiting(Waiting(who, moment, self._waiter.armed, self._waiter.ring)):
                yield Await(self._waiter.armed, seconds if clock().runs else at_most)
            self._check()

    def _check(self) -> None:
        if self._guarded is not None and self._guarded.stopped:
            raise ExecutionStoppedError
        if self._guarded is not None and self._guarded.taken:
            raise lost_ownership(self._guarded.execution, self._guarded.status)


@contextmanager
def pausing(services: Services, execution: Execution | None, *keys: str) -> Iterator[Pause]:
    """A wait for these news, by a workflow or (without an execution) by anybody."""
    with ExitStack() as stack:
        waiter = stack.enter_context(services.signals.waiter(*keys))
        guarded = None if execution is None else stack.enter_context(services.watch.guard(execution, waiter))
        yield Pause(waiter, guarded)


@spanned("sleep")
def sleep(services: Services, execution: Execution, seconds: float) -> Plan[None]:
    """Let a workflow wait. A replay sleeps what is left of the time, if anything is."""
    if seconds <= 0:
        return
    function_id = execution.next_function_id()
    moment = yield from wake_time(services, execution, function_id, seconds, spans=True)
    with pausing(services, execution) as pause:
        while epoch_seconds() < moment:
            pause.rearm()
            yield from pause.until(moment)
    yield from ensure_owned(execution)


def wake_time(
    services: Services, execution: Execution, function_id: int, seconds: float, *, spans: bool = False
) -> Plan[float]:
    """When a wait that begins now is over, in epoch seconds: recorded, so that it is the same in each replay.

    With `spans` the step lasts until then.
    """
    replayed = replay(execution, function_id, SLEEP)
    if replayed is not None:
        recorded: float = replayed.unwrap()
        return recorded
    yield from ensure_owned(execution)
    moment = epoch_seconds() + seconds
    record = replace(
        new_step(services, execution, SLEEP, function_id),
        output=encode_value(moment, PORTABLE_JSON),
        serialization=PORTABLE_JSON,
        completed_at_ms=int(moment * 1000) if spans else epoch_ms(),
    )
    yield from record_checkpoint(execution, record)
    return moment
