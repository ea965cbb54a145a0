"""The plans behind the public calls: start, enqueue, call, and wait for a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dbos._error import DBOSConflictingWorkflowError, DBOSQueueDeduplicatedError, DBOSWorkflowIDInUseError
from dbos.core.deduplication import check_duplication
from dbos.core.ids import OwnerToken, WorkflowId, check_name, child_workflow_id
from dbos.core.outcome import Outcome
from dbos.core.refusals import InvalidArgumentError
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.authorization import authorize
from dbos.engine.context import (
    EnqueueSettings,
    Execution,
    PendingId,
    authenticated,
    current_user,
    enqueue_settings,
    lost_ownership,
    recording_execution,
    take_pending,
    workflow_attributes,
    workflow_timeout,
)
from dbos.engine.execution import execute, note_start
from dbos.engine.plan import Invoke, Plan, Read, Write, WriteAll, side_by_side
from dbos.engine.registry import Call, WorkflowFunction
from dbos.engine.results import await_result
from dbos.engine.services import Services, epoch_ms
from dbos.engine.spans import trace_of_start, with_trace
from dbos.engine.steps import Operated, checkpoint_record, ensure_owned, record_checkpoint, replay
from dbos.engine.uuids import new_uuid, new_workflow_id
from dbos.engine.waiting import await_outcome
from dbos.serialization.encoding import encode_inputs
from dbos.store.operation import Operation, Statement
from dbos.store.records import StartAnswer, answer_starts, insert_statement
from dbos.store.rows import Insertion, NewWorkflow, ParentStep, StepRecord
from dbos.store.workflows import created, resolve_insertion

GET_RESULT = "DBOS.getResult"


@dataclass(frozen=True, slots=True)
class Started:
    """A workflow that was started here, or is there already: then `execution` is None."""

    workflow_id: WorkflowId
    execution: Execution | None


def start(services: Services, call: Call) -> Plan[Started]:
    """Insert a workflow that this process runs at once, or attach to the one that holds its ID."""
    if enqueue_settings.get() is not None and enqueue_settings.get() != EnqueueSettings():
        raise InvalidArgumentError("SetEnqueueOptions applies to what is enqueued: start this workflow on a queue")
    owner = services.new_owner()
    return (yield from _start(services, call, owner))


def call_workflow(services: Services, call: Call) -> Plan[Outcome]:
    """Run a workflow as a function call: its result, or its exception.

    In a workflow it is a child, and its result is a step of the parent.
    """
    user = current_user()
    role = authorize(call.workflow.name, call.required_roles, user)
    with authenticated(user if role is None else replace(user, assumed_role=role)):
        return (yield from _call(services, call))


def _call(services: Services, call: Call) -> Plan[Outcome]:
    parent = recording_execution()
    if parent is None:
        started = yield from _start(services, call, services.new_owner())
        return (yield from _run_or_attach(services, call, started))
    # Both IDs before the first wait: calls that run side by side have those of their order.
    start_id, function_id = parent.next_function_id(), parent.next_function_id()
    try:
        started = yield from _start(services, call, services.new_owner(), function_id=start_id)
    except DBOSWorkflowIDInUseError as refusal:
        if replay(parent, function_id, GET_RESULT) is None:
            child, now = refusal.workflow_id, epoch_ms()
            yield from _record_result(services, parent, function_id, child, Outcome(error=refusal), began=now)
        raise
    replayed = replay(parent, function_id, GET_RESULT)
    if replayed is not None:
        return replayed
    began = epoch_ms()
    outcome = yield from _run_or_attach(services, call, started, parent)
    yield from _record_result(services, parent, function_id, started.workflow_id, outcome, began=began)
    return outcome


def enqueue(services: Services, queue_name: str, call: Call) -> Plan[WorkflowId]:
    """Put a workflow on a queue, once for its ID; the ID of the workflow that is there.

    Raises ValueError for options of the blocks around the call that cannot be, alone or together.
    """
    check_name(queue_name, subject="queue name")
    options = enqueue_settings.get() or EnqueueSettings()
    policy = check_duplication(options.duplication_policy, options.deduplication_id)
    delay_until = None if options.delay_seconds is None else epoch_ms() + int(options.delay_seconds * 1000)

    def as_enqueued(record: NewWorkflow) -> NewWorkflow:
        return replace(
            record,
            status=WorkflowStatusString.ENQUEUED if delay_until is None else WorkflowStatusString.DELAYED,
            queue_name=queue_name,
            application_version=options.app_version or record.application_version,
            deduplication_id=options.deduplication_id,
            priority=options.priority or 0,
            partition_key=options.partition_key,
            delay_until_ms=delay_until,
        )

    started = yield from _insert(services, call, as_enqueued, policy=policy)
    if started.created and delay_until is None:
        services.wake_queue(queue_name)
    return started.workflow_id


def enqueue_as(
    services: Services, call: Call, shape: Callable[[NewWorkflow], NewWorkflow], *, given_id: str | None
) -> Plan[WorkflowId]:
    """Put a workflow on a queue as `shape` says, once for its ID; the ID of the workflow that is there.

    Raises DBOSQueueDeduplicatedError when its deduplication ID is held; a replay is refused too.
    """
    return (yield from _insert(services, call, shape, policy="reject", given_id=given_id)).workflow_id


def enqueue_described(
    services: Services, described: NewWorkflow, *, policy: str | None, given_id: str | None
) -> Plan[WorkflowId]:
    """Put a workflow that is known by its row alone on a queue; the ID of the workflow that is there.

    What the row leaves open, the blocks around the call say. It has no executor, and without a version it
    goes to the latest one.
    """
    options = enqueue_settings.get() or EnqueueSettings()
    deduplication_id = described.deduplication_id or options.deduplication_id
    policy = check_duplication(policy or options.duplication_policy, deduplication_id)
    delay_until = described.delay_until_ms
    if delay_until is None and options.delay_seconds is not None:
        delay_until = epoch_ms() + int(options.delay_seconds * 1000)

    def as_described(record: NewWorkflow) -> NewWorkflow:
        timed = described.timeout_ms is not None
        return replace(
            record,
            status=WorkflowStatusString.ENQUEUED if delay_until is None else WorkflowStatusString.DELAYED,
            inputs=described.inputs,
            serialization=described.serialization,
            queue_name=described.queue_name,
            class_name=described.class_name,
            config_name=described.config_name,
            executor_id=None,
            application_name=described.application_name,
            authenticated_user=described.authenticated_user or record.authenticated_user,
            authenticated_roles=described.authenticated_roles or record.authenticated_roles,
            application_version=described.application_version or options.app_version,
            timeout_ms=described.timeout_ms if timed else record.timeout_ms,
            deadline_ms=None if timed else record.deadline_ms,
            delay_until_ms=delay_until,
            deduplication_id=deduplication_id,
            priority=described.priority or options.priority or 0,
            partition_key=described.partition_key or options.partition_key,
            attributes=(
                record.attributes if described.attributes is None else with_trace(services, described.attributes)
            ),
            reuse=described.reuse,
        )

    workflow = WorkflowFunction(name=described.name, function=_elsewhere, is_async=False)
    call = Call(workflow=workflow, args=(), kwargs={})
    inserted = yield from _insert(services, call, as_described, policy=policy, given_id=given_id)
    if inserted.created and delay_until is None:
        services.wake_queue(described.queue_name or "")
    return inserted.workflow_id


def _elsewhere() -> None:
    """Stands for the function of a workflow that is enqueued by its name: it is called where it is registered."""


def get_result(services: Services, workflow_id: str, *, poll_seconds: float, as_child: bool = True) -> Plan[Outcome]:
    """Wait for what a workflow gives; in a workflow this is a step of it, which names the other one when `as_child`."""
    parent = recording_execution() if services.records_steps else None
    if parent is None:
        return (yield from await_outcome(services.signals, workflow_id, poll_seconds=poll_seconds))
    function_id = parent.next_function_id()
    replayed = replay(parent, function_id, GET_RESULT)
    if replayed is not None:
        return replayed
    began = epoch_ms()
    outcome = yield from await_result(services, workflow_id, poll_seconds=poll_seconds, execution=parent)
    child = workflow_id if as_child else None
    yield from _record_result(services, parent, function_id, child, outcome, began=began)
    return outcome


def introspect(services: Services, name: str, look: Callable[[], Any]) -> Plan[Any]:
    """What `look` sees (on a loop it is a coroutine function); in a workflow a step, so that a replay sees the same."""
    parent = recording_execution()
    if parent is None:
        unrecorded: Outcome = yield Invoke(look)
        return unrecorded.unwrap()
    function_id = parent.next_function_id()
    replayed = replay(parent, function_id, name)
    if replayed is not None:
        return replayed.unwrap()
    yield from ensure_owned(parent)
    began = epoch_ms()
    outcome: Outcome = yield Invoke(look)
    yield from record_checkpoint(
        parent, checkpoint_record(services, parent, Operated(function_id, name, began), outcome)
    )
    return outcome.unwrap()


def insert(record: NewWorkflow, *, policy: str) -> Plan[tuple[WorkflowId, Insertion]]:
    """Insert a workflow once; the ID of the row that stands for it, and what is known of the row.

    Raises DBOSConflictingWorkflowError when the ID belongs to another workflow, DBOSWorkflowIDInUseError when it
    is taken and may not be, and, unless `policy` is `return-existing`, DBOSQueueDeduplicatedError when its
    deduplication ID is held.
    """
    while True:
        answer: StartAnswer = yield Write(record)
        if answer.created:
            return record.workflow_id, created(record)
        if not answer.allowed:
            raise (yield from _lost_parent(record))
        insertion: Insertion | None = yield Read(lambda: resolve_insertion(record))
        if insertion is not None:
            return _stands_for(record, insertion, policy=policy), insertion


def insert_many(records: Sequence[NewWorkflow], *, policy: str) -> Plan[list[tuple[WorkflowId, bool]]]:
    """Insert workflows as insert does, in shared commits; the ID of each, and whether it is new, in their order.

    When some are refused, the others are stored and the first refusal is raised.
    """
    answers: list[Outcome] = yield WriteAll(records)
    went_in = [answer.error is None and answer.value.created for answer in answers]
    left = [record for record, done in zip(records, went_in, strict=True) if not done]
    settled = yield from side_by_side(insert(record, policy=policy) for record in left)
    others = ((workflow_id, insertion.created) for workflow_id, insertion in settled)
    return [(record.workflow_id, True) if done else next(others) for record, done in zip(records, went_in, strict=True)]


def inserting(record: NewWorkflow, *, policy: str, news: Sequence[tuple[str, str]]) -> Operation[WorkflowId]:
    """The operation that inserts a workflow in a transaction of somebody else; as insert, and as patient.

    `news` are channels and payloads that are told when the transaction commits and the workflow is new.
    """
    while True:
        (answer,) = answer_starts([record], (yield insert_statement([record])))
        if answer.created:
            columns = {"channels": [channel for channel, _ in news], "payloads": [payload for _, payload in news]}
            yield Statement("notify", columns)
            return record.workflow_id
        insertion = yield from resolve_insertion(record)
        if insertion is not None:
            return _stands_for(record, insertion, policy=policy)


def _stands_for(record: NewWorkflow, insertion: Insertion, *, policy: str) -> WorkflowId:
    """The workflow that stands for a record that did not go in. Raises what refuses it."""
    if insertion.deduplicated_by is not None:
        if policy != "return-existing":
            raise DBOSQueueDeduplicatedError(record.workflow_id, record.queue_name or "", record.deduplication_id or "")
        return insertion.deduplicated_by
    if record.reuse == "reject" and not insertion.created:
        raise DBOSWorkflowIDInUseError(record.workflow_id, insertion.status, insertion.name)
    _refuse_conflict(record, insertion)
    return record.workflow_id


def _start(services: Services, call: Call, owner: OwnerToken, *, function_id: int | None = None) -> Plan[Started]:
    def as_started(record: NewWorkflow) -> NewWorkflow:
        # The token of the start is also the first owner's, as every SDK has it.
        return replace(
            record,
            status=WorkflowStatusString.PENDING,
            owner=owner,
            creator=owner,
            recovery_attempts=1,
            deadline_ms=record.deadline_ms if record.timeout_ms is None else epoch_ms() + record.timeout_ms,
        )

    inserted = yield from _insert(services, call, as_started, policy="reject", function_id=function_id)
    if not inserted.created:
        return Started(inserted.workflow_id, None)
    return Started(
        inserted.workflow_id,
        Execution(
            workflow_id=inserted.workflow_id,
            owner=owner,
            name=call.workflow.name,
            serialization=inserted.serialization,
            authentication=current_user(),
            deadline_ms=inserted.deadline_ms,
            trace=trace_of_start(services),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Inserted:
    workflow_id: WorkflowId
    created: bool
    serialization: str | None
    deadline_ms: int | None


def _insert(
    services: Services,
    call: Call,
    shape: Callable[[NewWorkflow], NewWorkflow],
    *,
    policy: str,
    function_id: int | None = None,
    given_id: str | None = None,
) -> Plan[_Inserted]:
    parent = recording_execution()
    given = PendingId(given_id) if given_id is not None else take_pending()  # on a replay too: the same start takes it
    if parent is not None:
        function_id = function_id or parent.next_function_id()
    if parent is not None and function_id is not None:
        replayed_id = _replayed_child(parent, function_id, call.workflow.name)
        if replayed_id is not None:
            return _Inserted(replayed_id, created=False, serialization=None, deadline_ms=None)
        yield from ensure_owned(parent)
    record = shape(_new_record(services, call, parent, function_id))
    if given is not None:
        record = replace(record, workflow_id=WorkflowId(given.workflow_id), reuse=_stricter(record, given))
    try:
        workflow_id, insertion = yield from insert(record, policy=policy)
    except (DBOSQueueDeduplicatedError, DBOSWorkflowIDInUseError) as refusal:
        if parent is not None and record.parent_step is not None:  # a replay must be refused too
            yield from _record_refusal(services, parent, record, record.parent_step, refusal)
        raise
    if not insertion.created and parent is not None and function_id is not None:
        yield from record_checkpoint(parent, _child_record(services, parent, function_id, record, workflow_id))
    return _Inserted(workflow_id, insertion.created, insertion.serialization, record.deadline_ms)


def _stricter(record: NewWorkflow, given: PendingId) -> str:
    return "reject" if "reject" in {record.reuse, given.reuse} else given.reuse


def _new_record(services: Services, call: Call, parent: Execution | None, function_id: int | None) -> NewWorkflow:
    serialization = call.workflow.serialization or services.serialization
    workflow_id = new_workflow_id()
    parent_step = None
    if parent is not None and function_id is not None:
        workflow_id = child_workflow_id(parent.workflow_id, function_id)
        parent_step = ParentStep(
            workflow_id=parent.workflow_id, owner=parent.owner, function_id=function_id, started_at_ms=epoch_ms()
        )
    user, target, timeout = current_user(), call.target, workflow_timeout.get()
    seconds = None if timeout is None else timeout.seconds
    return NewWorkflow(
        workflow_id=workflow_id,
        status=WorkflowStatusString.ENQUEUED,
        name=call.workflow.name,
        creator=new_uuid(),
        inputs=encode_inputs(call.args, call.kwargs, serialization),
        serialization=serialization,
        executor_id=services.claimant.executor_id,
        application_name=services.claimant.application,
        application_version=services.claimant.version,
        application_id=services.application_id,
        class_name=None if target is None else target.class_name,
        config_name=None if target is None else target.config_name,
        authenticated_user=user.user,
        assumed_role=user.assumed_role,
        authenticated_roles=user.stored_roles,
        timeout_ms=None if seconds is None else int(seconds * 1000),
        deadline_ms=None if parent is None or timeout is not None else parent.deadline_ms,
        attributes=with_trace(services, workflow_attributes.get()),
        parent_workflow_id=None if parent is None else parent.workflow_id,
        parent_step=parent_step,
    )


def _replayed_child(parent: Execution, function_id: int, name: str) -> WorkflowId | None:
    replayed = replay(parent, function_id, name)
    if replayed is None:
        return None
    replayed.unwrap()  # a start that was refused is refused again
    child = parent.checkpoints[function_id].child_workflow_id
    return None if child is None else WorkflowId(child)


def _run_or_attach(services: Services, call: Call, started: Started, parent: Execution | None = None) -> Plan[Outcome]:
    if started.execution is None:
        return (yield from await_result(services, started.workflow_id, poll_seconds=1.0, execution=parent))
    note_start(services, started.execution)
    return (yield from execute(services, call, started.execution))


def _record_refusal(
    services: Services, parent: Execution, record: NewWorkflow, step: ParentStep, refusal: Exception
) -> Plan[None]:
    operated = Operated(step.function_id, record.name, step.started_at_ms)
    yield from record_checkpoint(parent, checkpoint_record(services, parent, operated, Outcome(error=refusal)))


def _record_result(
    services: Services, parent: Execution, function_id: int, child: str | None, outcome: Outcome, *, began: int
) -> Plan[None]:
    record = checkpoint_record(services, parent, Operated(function_id, GET_RESULT, began, child), outcome)
    yield from record_checkpoint(parent, record)


def _child_record(
    services: Services, parent: Execution, function_id: int, record: NewWorkflow, child: WorkflowId
) -> StepRecord:
    now = epoch_ms()
    return StepRecord(
        workflow_id=parent.workflow_id,
        owner=parent.owner,
        function_id=function_id,
        function_name=record.name,
        output=None,
        error=None,
        serialization=None,
        started_at_ms=now if record.parent_step is None else record.parent_step.started_at_ms,
        completed_at_ms=now,
        application_name=services.claimant.application,
        child_workflow_id=child,
    )


def _refuse_conflict(record: NewWorkflow, existing: Insertion) -> None:
    for what, asked, found in (
        ("name", record.name, existing.name),
        ("class", record.class_name, existing.class_name),
        ("instance", record.config_name, existing.config_name),
    ):
        if asked != found:
            raise DBOSConflictingWorkflowError(record.workflow_id, f"its {what} is {found!r}, not {asked!r}")


def _lost_parent(record: NewWorkflow) -> Plan[BaseException]:
    assert record.parent_step is not None
    parent = record.parent_step
    status: str | None = yield Read(lambda: _load_status(parent.workflow_id))
    return lost_ownership(Execution(workflow_id=parent.workflow_id, owner=parent.owner, name=""), status)


def _load_status(workflow_id: WorkflowId) -> Operation[str | None]:
    rows = yield Statement("load_status", {"workflow_id": workflow_id})
    return rows[0]["status"] if rows else None
