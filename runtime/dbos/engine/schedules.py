"""The plans behind the calls about schedules: declare, look, pause, backfill, trigger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NotRequired, TypedDict

from dbos._error import DBOSException
from dbos.core.applications import listed_applications
from dbos.core.cron import CronRule, InvalidCronError, UnknownTimeZoneError
from dbos.core.ids import INTERNAL_QUEUE, WorkflowId, check_text
from dbos.core.schedule_ids import schedule_workflow_id
from dbos.core.timetable import as_utc, missed_moments
from dbos.engine.context import recording_execution
from dbos.engine.operations import operate
from dbos.engine.plan import Plan, Read, Transact
from dbos.engine.services import Services
from dbos.engine.uuids import new_uuid
from dbos.serialization.decoding import UndecodableError, decode_value
from dbos.serialization.encoding import encode_context, encode_scheduled_inputs
from dbos.store.operation import Operation
from dbos.store.queues import load_queue
from dbos.store.schedules import (
    ScheduledRun,
    ScheduleRow,
    ScheduleStatus,
    apply_schedules,
    create_schedule,
    delete_schedule,
    enqueue_runs,
    load_schedule,
    load_schedules,
    set_schedule_status,
)
from dbos.store.versions import load_latest_version

logger = logging.getLogger("dbos")

BATCH = 500
"""How many runs of a backfill are enqueued in one transaction."""
MANAGED = "Schedule %s is managed by a DBOSSchedule resource and stays as it is; change the resource"

Names = str | Sequence[str] | None


class WorkflowSchedule(TypedDict):
    """A schedule as it is stored, with its context as a value."""

    schedule_id: str
    """A random ID of the row; one that begins with `k8s:` belongs to a DBOSSchedule resource."""
    schedule_name: str
    """The name, once in a database."""
    workflow_name: str
    """The workflow that it runs."""
    workflow_class_name: str | None
    """The class of that workflow, where it is a method."""
    schedule: str
    """The cron text: five fields, or six with seconds first."""
    status: str
    """ACTIVE or PAUSED."""
    context: Any
    """What each run gets as its second argument."""
    last_fired_at: str | None
    """When the last run was due, ISO 8601; None: none was."""
    automatic_backfill: bool
    """Whether a process that starts makes up for what was missed."""
    cron_timezone: str | None
    """The zone whose clocks the cron text is read by; None: UTC."""
    queue_name: str | None
    """Where its runs go; None: to the internal queue, which has no limits."""
    application_name: str | None
    """The application that fires it; None: any."""


class ScheduleOptions(TypedDict):
    """What a schedule may say besides its name, its workflow and its cron text."""

    context: NotRequired[Any]
    automatic_backfill: NotRequired[bool]
    cron_timezone: NotRequired[str | None]
    queue_name: NotRequired[str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFilter:
    """Which schedules to list."""

    status: Names = None
    workflow_name: Names = None
    schedule_name_prefix: Names = None
    application_name: Names = None

    def holds(self, row: ScheduleRow, own: str | None) -> bool:
        """Whether a schedule is meant, by an application that is called `own`."""
        applications = listed_applications(_names(self.application_name), own)
        statuses, workflows = _names(self.status), _names(self.workflow_name)
        prefixes = _names(self.schedule_name_prefix)
        return (
            (statuses is None or row.status in statuses)
            and (workflows is None or row.workflow_name in workflows)
            and (prefixes is None or row.schedule_name.startswith(tuple(prefixes)))
            and (applications is None or row.application_name is None or row.application_name in applications)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A schedule as a caller declares it."""

    name: str
    workflow_name: str
    schedule: str
    class_name: str | None = None
    application: str | None = None
    options: ScheduleOptions


def new_schedule(services: Services, declared: Declaration) -> ScheduleRow:
    """The row of a schedule.

    Raises DBOSException for a cron text or time zone that cannot be used, TypeError or ValueError for other
    values, and whatever encoding raises for a context that cannot be stored.
    """
    options = declared.options
    check_text(declared.name, subject="schedule_name")
    check_text(declared.workflow_name, subject="workflow_name")
    for subject, text in (("workflow_class_name", declared.class_name), ("queue_name", options.get("queue_name"))):
        if text is not None:
            check_text(text, subject=subject)
    backfill = options.get("automatic_backfill", False)
    if not isinstance(backfill, bool):
        raise TypeError(f"automatic_backfill: expected True or False, got {backfill!r}")
    zone = options.get("cron_timezone")
    parse_rule(declared.name, declared.schedule, zone)
    return ScheduleRow(
        schedule_id=new_uuid(),
        schedule_name=declared.name,
        workflow_name=declared.workflow_name,
        workflow_class_name=declared.class_name,
        schedule=declared.schedule,
        context=encode_context(options.get("context"), services.serialization),
        automatic_backfill=backfill,
        cron_timezone=zone,
        queue_name=options.get("queue_name"),
        application_name=declared.application,
    )


def parse_rule(name: str, schedule: object, zone: object) -> CronRule:
    """The rule of a schedule. Raises DBOSException naming the schedule and what was expected, and TypeError."""
    if not isinstance(schedule, str):
        raise TypeError(f"schedule: expected a cron text, got {type(schedule).__name__}")
    if zone is not None and not isinstance(zone, str):
        raise TypeError(f"cron_timezone: expected the name of a time zone, got {type(zone).__name__}")
    try:
        return CronRule.parse(schedule, zone)
    except InvalidCronError as error:
        raise DBOSException(f"Invalid cron schedule of {name!r}: {error}") from error
    except UnknownTimeZoneError as error:
        raise DBOSException(f"Invalid timezone of schedule {name!r}: {error}") from error


def create(services: Services, row: ScheduleRow) -> Plan[None]:
    """Insert a schedule. Raises DBOSException when its name is taken or its queue is not there."""
    yield from _check_queues(services, [row])
    yield from operate(services, "DBOS.createSchedule", lambda: create_schedule(row))
    services.schedules_changed()


def apply(services: Services, rows: Sequence[ScheduleRow]) -> Plan[None]:
    """Create schedules or give those that exist these values: all of them or none."""
    yield from _check_queues(services, rows)
    managed: list[str] = yield Transact(lambda: apply_schedules(rows))
    for name in managed:
        logger.info(MANAGED, name)
    services.schedules_changed()


def list_all(services: Services, wanted: ScheduleFilter) -> Plan[list[WorkflowSchedule]]:
    """The schedules that match, by name; by default this application's and those of none."""
    own = services.claimant.application or None

    def act() -> Operation[list[dict[str, Any]]]:
        rows = yield from load_schedules()
        return [asdict(row) for row in rows if wanted.holds(row, own)]

    found = yield from operate(services, "DBOS.listSchedules", act)
    return [_told(services, row) for row in found]


def get(services: Services, name: str) -> Plan[WorkflowSchedule | None]:
    """One schedule; None when there is none of that name."""
    check_text(name, subject="name")

    def act() -> Operation[dict[str, Any] | None]:
        row = yield from load_schedule(name)
        return None if row is None else asdict(row)

    found = yield from operate(services, "DBOS.getSchedule", act)
    return None if found is None else _told(services, found)


def delete(services: Services, name: str) -> Plan[None]:
    """Remove a schedule; what it started goes on. A schedule that is not there is none to remove."""
    yield from _change(services, "DBOS.deleteSchedule", name, lambda: delete_schedule(name))


def set_status(services: Services, name: str, status: ScheduleStatus) -> Plan[None]:
    """Pause or resume a schedule."""
    step = "DBOS.pauseSchedule" if status is ScheduleStatus.PAUSED else "DBOS.resumeSchedule"
    yield from _change(services, step, name, lambda: set_schedule_status(name, status))


def backfill(services: Services, name: str, start: datetime, end: datetime) -> Plan[list[WorkflowId]]:
    """Enqueue the runs that a schedule owes to the time between two moments, neither of them included.

    Each run happens once: what was started before is not started again. Times without a zone are UTC.
    """
    for subject, moment in (("start", start), ("end", end)):
        if not isinstance(moment, datetime):
            raise TypeError(f"{subject}: expected a datetime, got {type(moment).__name__}")
    row = yield from _known(name)
    rule = parse_rule(name, row.schedule, row.cron_timezone)
    context = context_of(services, row.schedule_name, row.context)
    moments = missed_moments(rule, as_utc(start), as_utc(end))
    ids: list[WorkflowId] = []
    while batch := list(islice(moments, BATCH)):
        runs = [run_of(services, row, context, moment) for moment in batch]
        yield from _enqueue(services, runs)
        ids += [run.workflow_id for run in runs]
    return ids


def trigger(services: Services, name: str) -> Plan[WorkflowId]:
    """Enqueue a run of a schedule now, paused or not; its ID."""
    row = yield from _known(name)
    context = context_of(services, row.schedule_name, row.context)
    moment = datetime.now(UTC)
    workflow_id = WorkflowId(f"sched-{name}-trigger-{moment.isoformat()}")
    yield from _enqueue(services, [run_of(services, row, context, moment, workflow_id=workflow_id)])
    return workflow_id


def run_of(
    services: Services, row: ScheduleRow, context: Any, moment: datetime, *, workflow_id: WorkflowId | None = None
) -> ScheduledRun:
    """The run that a schedule owes to a moment."""
    return ScheduledRun(
        workflow_id=workflow_id or WorkflowId(schedule_workflow_id(row.schedule_name, moment)),
        workflow_name=row.workflow_name,
        inputs=encode_scheduled_inputs(moment, context, services.serialization),
        class_name=row.workflow_class_name,
        queue_name=row.queue_name,
        schedule_name=row.schedule_name,
        # What nobody owns becomes the run of the application that starts it; a client is none.
        application_name=row.application_name or (services.claimant.application if services.records_steps else None),
    )


def refuse_in_workflow(call: str) -> None:
    """Raise DBOSException in a workflow: the call has no step that a replay could skip.

    The ID of a step is drawn nevertheless, as every worker does: what follows keeps its place.
    """
    execution = recording_execution()
    if execution is not None:
        execution.next_function_id()
        raise DBOSException(f"{call} cannot be called from a workflow: call it from a step of the workflow")


def _enqueue(services: Services, runs: Sequence[ScheduledRun]) -> Plan[None]:
    yield Transact(lambda: enqueue_runs(runs))
    wake(services, runs)


def wake(services: Services, runs: Iterable[ScheduledRun]) -> None:
    """Have the queues of new runs looked at."""
    for queue in {run.queue_name or INTERNAL_QUEUE for run in runs}:
        services.wake_queue(queue)


def _known(name: str) -> Plan[ScheduleRow]:
    check_text(name, subject="schedule_name")
    row: ScheduleRow | None = yield Read(lambda: load_schedule(name))
    if row is None:
        raise DBOSException(f"Schedule {name!r} does not exist")
    if (yield Read(lambda: load_latest_version(row.application_name))) is None:
        raise DBOSException(
            f"No application versions found: launch the application of schedule {name!r} once before it is run"
        )
    return row


def _check_queues(services: Services, rows: Sequence[ScheduleRow]) -> Plan[None]:
    if not services.records_steps:
        return  # a client may declare what the application will bring
    names = sorted({row.queue_name for row in rows if row.queue_name not in {None, INTERNAL_QUEUE}}, key=str)
    for name in names:
        if (yield Read(lambda name=name: load_queue(str(name)))) is None:  # type: ignore[misc]
            raise DBOSException(f"Queue {name!r} is not declared: register it before a schedule names it")


def _change(services: Services, step: str, name: str, act: Callable[[], Operation[bool]]) -> Plan[None]:
    check_text(name, subject="name")
    refused: set[str] = set()

    def change() -> Operation[None]:
        if not (yield from act()):
            refused.add(name)

    yield from operate(services, step, change)
    for managed in refused:
        logger.warning(MANAGED, managed)
    services.schedules_changed()


def _told(services: Services, row: dict[str, Any]) -> WorkflowSchedule:
    try:
        context = context_of(services, row["schedule_name"], row["context"])
    except DBOSException as error:
        logger.warning("%s; it is shown as it is stored", error)
        context = row["context"]
    return WorkflowSchedule(**{**row, "context": context})  # type: ignore[typeddict-item]


def context_of(services: Services, name: str, text: str) -> Any:
    """The context of a schedule. Raises DBOSException when it cannot be read here."""
    try:
        return decode_value(text, services.serialization)
    except UndecodableError as error:
        raise DBOSException(f"The context of schedule {name!r} cannot be read here: {error}") from error


def _names(names: Names) -> list[str] | None:
    if names is None:
        return None
    if isinstance(names, str):
        return [names]
    if not isinstance(names, list | tuple | set) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"expected text or a list of texts to filter schedules by, got {names!r}")
    return list(names)
