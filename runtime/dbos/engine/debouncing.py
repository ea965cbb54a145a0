"""The plans behind debouncers: put a workflow off, again and again, and run it once with its last arguments.

first call --> DELAYED, under the debouncer's key --> a further call puts it off and replaces its arguments
                     |  the period, or the time-out of the first call, is over
                     v
                  ENQUEUED, the key is free: the next call begins anew
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dbos._error import DBOSException, DBOSQueueDeduplicatedError
from dbos.core.ids import INTERNAL_QUEUE, WorkflowId, check_name
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.commands import enqueue_as
from dbos.engine.context import EnqueueSettings, PendingId, enqueue_settings, pending_id, take_pending_id
from dbos.engine.operations import operate
from dbos.engine.plan import Plan, Read, Transact, Wait
from dbos.engine.registry import Call
from dbos.engine.services import Services, epoch_ms
from dbos.serialization.encoding import encode_inputs
from dbos.store.debouncing import Bounce, DebounceResult, extend_debounced, extend_or_enqueue
from dbos.store.queues import load_queue
from dbos.store.rows import NewWorkflow

STEP = "DBOS.debounce_delayed_workflow"
ATTEMPTS = 100
"""How often a key that is just changing hands is tried."""
PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Debounce:
    """One call of a debouncer."""

    key: str
    period_seconds: float
    timeout_seconds: float | None = None
    queue: str = INTERNAL_QUEUE
    application: str | None = None
    """Whose workflow it is; None for the caller's."""


def debounce(services: Services, call: Call, asked: Debounce) -> Plan[WorkflowId]:
    """Put off the workflow that waits under the key, with new arguments, or enqueue one that waits; its ID.

    In a workflow the look at the key is a step, and an enqueue another. Raises DBOSQueueDeduplicatedError
    when something else holds the key, and DBOSException for options that a debouncer sets itself and for a
    queue that is not there.
    """
    _check_context(enqueue_settings.get(), pending_id.get())
    yield from _check_queue(asked.queue)
    given_id = take_pending_id()
    serialization = call.workflow.serialization or services.serialization
    application = asked.application or services.claimant.application
    inputs = encode_inputs(call.args, call.kwargs, serialization)

    def as_debounced(record: NewWorkflow) -> NewWorkflow:
        options = enqueue_settings.get() or EnqueueSettings()
        own = application == services.claimant.application
        version = options.app_version or (record.application_version if own else None)
        shaped = debounced(record, asked, now_ms=epoch_ms())
        # The deadline of the caller may be over before the wait is.
        return replace(shaped, application_name=application, application_version=version, deadline_ms=None)

    for _ in range(ATTEMPTS):
        bounce = _bounce(call.workflow.name, asked, application, inputs, serialization)
        result: DebounceResult = yield from operate(services, STEP, lambda bounce=bounce: extend_debounced(bounce))  # type: ignore[misc]
        if result["bounced_workflow_id"] is not None:
            return WorkflowId(result["bounced_workflow_id"])
        if result["holder_workflow_id"] is None:
            try:
                return (yield from enqueue_as(services, call, as_debounced, given_id=given_id))
            except DBOSQueueDeduplicatedError:
                continue  # somebody was faster: there is a workflow to put off now
        if not _is_leaving(result, bounce):
            break
        yield Wait(PAUSE_SECONDS)
    raise _held(result, bounce)


def debounce_record(record: NewWorkflow, asked: Debounce) -> Plan[WorkflowId]:
    """As debounce, for a client: `record` is the workflow that is enqueued when none waits."""
    for _ in range(ATTEMPTS):
        bounce = _bounce(record.name, asked, record.application_name, record.inputs, record.serialization)
        waiting = debounced(record, asked, now_ms=epoch_ms())
        result: DebounceResult = yield Transact(
            lambda bounce=bounce, waiting=waiting: extend_or_enqueue(bounce, waiting)  # type: ignore[misc]
        )
        if result["bounced_workflow_id"] is not None:
            return WorkflowId(result["bounced_workflow_id"])
        if result["holder_workflow_id"] is not None and not _is_leaving(result, bounce):
            break
        yield Wait(PAUSE_SECONDS)
    raise _held(result, bounce)


def debounced(record: NewWorkflow, asked: Debounce, *, now_ms: int) -> NewWorkflow:
    """A workflow that is enqueued under the key of a debouncer, from now on."""
    deadline = None if asked.timeout_seconds is None else now_ms + int(asked.timeout_seconds * 1000)
    until = now_ms + int(asked.period_seconds * 1000)
    return replace(
        record,
        status=WorkflowStatusString.DELAYED,
        queue_name=asked.queue,
        deduplication_id=_key(record.name, asked),
        priority=0,
        delay_until_ms=until if deadline is None else min(until, deadline),
        debounced=True,
        debounce_deadline_ms=deadline,
    )


def refuse_options(**options: object) -> None:
    """Raise DBOSException naming an option that a debouncer sets itself."""
    for name, (unwanted, why) in _OWN_OPTIONS.items():
        value = options.get(name)
        if value is not None and (unwanted is None or value == unwanted):
            raise DBOSException(
                f"A debounced workflow takes no {name}{'' if unwanted is None else f'={value!r}'}: {why}"
            )


_OWN_OPTIONS: dict[str, tuple[str | None, str]] = {
    "deduplication_id": (None, "the key of the debouncer is its deduplication ID"),
    "delay_seconds": (None, "the period of the debouncer is its delay"),
    "priority": (None, "it is enqueued without one"),
    "queue_partition_key": (None, "partitioned queues know no deduplication, which a debouncer needs"),
    "duplication_policy": ("return-existing", "a debouncer decides what becomes of a duplicate"),
    "workflow_id_reuse_policy": ("reject", "a debouncer decides how its workflow starts"),
}


def _check_context(settings: EnqueueSettings | None, pending: PendingId | None) -> None:
    given = settings or EnqueueSettings()
    refuse_options(
        deduplication_id=given.deduplication_id,
        delay_seconds=given.delay_seconds,
        priority=given.priority,
        queue_partition_key=given.partition_key,
        duplication_policy=given.duplication_policy,
        workflow_id_reuse_policy=None if pending is None or pending.taken else pending.reuse,
    )


def _check_queue(queue: str) -> Plan[None]:
    if queue == INTERNAL_QUEUE:
        return
    check_name(queue, subject="queue")
    if (yield Read(lambda: load_queue(queue))) is None:
        raise DBOSException(f"Queue {queue!r} of the debouncer is not declared: register it first")


def _bounce(name: str, asked: Debounce, application: str | None, inputs: str, serialization: str | None) -> Bounce:
    return Bounce(
        name=name,
        queue=asked.queue,
        key=_key(name, asked),
        application=application,
        delay_until_ms=epoch_ms() + int(asked.period_seconds * 1000),
        inputs=inputs,
        serialization=serialization,
    )


def _key(name: str, asked: Debounce) -> str:
    return f"{name}-{asked.key}"


def _is_leaving(result: DebounceResult, bounce: Bounce) -> bool:
    """Whether the holder is a workflow of the same debouncer that has just stopped waiting."""
    return (
        result["holder_is_debounced"]
        and result["holder_workflow_name"] == bounce.name
        and (bounce.application is None or result["holder_application_name"] in {bounce.application, None})
    )


def _held(result: DebounceResult, bounce: Bounce) -> DBOSQueueDeduplicatedError:
    return DBOSQueueDeduplicatedError(result["holder_workflow_id"] or "", bounce.queue, bounce.key)
