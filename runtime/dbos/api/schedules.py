"""Schedules: create, apply, look, pause, resume, delete, backfill, trigger."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypedDict, TypeVar, cast

from dbos._error import DBOSException, DBOSWorkflowFunctionNotFoundError
from dbos.api.calls import EngineStatuses
from dbos.api.handles import WorkflowHandle
from dbos.api.runtime import engine, registry
from dbos.core.cron import CronRule
from dbos.core.ids import STEP_WORKFLOW_PREFIX
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.plan import Plan
from dbos.engine.registry import WorkflowFunction
from dbos.engine.schedules import (
    Declaration,
    Names,
    ScheduleFilter,
    ScheduleOptions,
    WorkflowSchedule,
    apply,
    backfill,
    create,
    delete,
    get,
    list_all,
    new_schedule,
    refuse_in_workflow,
    set_status,
    trigger,
)
from dbos.engine.services import Services
from dbos.engine.targets import WORKFLOW_ATTRIBUTE, MethodKind
from dbos.store.schedules import ScheduleRow, ScheduleStatus

P = ParamSpec("P")
R = TypeVar("R")
ScheduledWorkflow = Callable[..., Any]
"""A workflow that takes the moment at which it was due, and the context of its schedule."""


class ScheduleInput(TypedDict, total=False):
    """A schedule to apply; `schedule_name`, `workflow_fn` and `schedule` are required."""

    schedule_name: str
    """The name, once in a database."""
    workflow_fn: ScheduledWorkflow
    """The workflow: a function of the moment and the context."""
    schedule: str
    """The cron text: five fields, or six with seconds first."""
    context: Any
    """What each run gets as its second argument. Default: None."""
    automatic_backfill: bool
    """Whether a process that starts makes up for what was missed. Default: False."""
    cron_timezone: str | None
    """An IANA name, such as Europe/Berlin. Default: UTC."""
    queue_name: str | None
    """Where its runs go. Default: the internal queue, which has no limits."""


class Schedules:
    """The part of DBOS that is about schedules."""

    @staticmethod
    def scheduled(cron: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Run a workflow whenever a cron text comes true, each time once, whatever the number of processes.

        Stands above @DBOS.workflow(). `cron` has five fields, or six with seconds first, and is read in UTC.
        The workflow gets the moment at which it was due and the one at which it was fired. Nothing is made
        up for that was missed while no process ran. Raises ValueError for a text that cannot be used, and
        DBOSException for a function that is no workflow or does not take two arguments.
        """

        def decorate(func: Callable[P, R]) -> Callable[P, R]:
            name, class_name = _target(func)
            if class_name is not None:
                raise DBOSException(f"{name} is a class method: use DBOS.create_schedule for it")
            CronRule.parse(cron)
            if not _stands_in_a_class(func):
                _check_arguments(func, name, "the times at which it was due and was fired")
            registry.scheduled[name] = cron
            return func

        return decorate

    @classmethod
    def create_schedule(
        cls,
        *,
        schedule_name: str,
        workflow_fn: ScheduledWorkflow,
        schedule: str,
        context: Any = None,
        automatic_backfill: bool = False,
        cron_timezone: str | None = None,
        queue_name: str | None = None,
    ) -> None:
        """Run a workflow whenever a cron text comes true, each time once, whatever the number of processes.

        `schedule` has five fields, or six with seconds first, read by the clocks of `cron_timezone` (an IANA
        name; default UTC). The workflow gets the moment and `context`. It runs on `queue_name`, or without
        limits. With `automatic_backfill` a process that starts makes up for what was missed. Raises
        DBOSException for a name that is taken, a text, time zone or queue that cannot be used, methods of
        instances, and workflows that do not take two arguments.
        """
        services = engine().services
        options: ScheduleOptions = {
            "context": context,
            "automatic_backfill": automatic_backfill,
            "cron_timezone": cron_timezone,
            "queue_name": queue_name,
        }
        run_blocking(create(services, _row(services, schedule_name, workflow_fn, schedule, options)), services)

    @classmethod
    async def create_schedule_async(
        cls,
        *,
        schedule_name: str,
        workflow_fn: ScheduledWorkflow,
        schedule: str,
        context: Any = None,
        automatic_backfill: bool = False,
        cron_timezone: str | None = None,
        queue_name: str | None = None,
    ) -> None:
        """As create_schedule."""
        services = engine().services
        options: ScheduleOptions = {
            "context": context,
            "automatic_backfill": automatic_backfill,
            "cron_timezone": cron_timezone,
            "queue_name": queue_name,
        }
        await run_on_loop(create(services, _row(services, schedule_name, workflow_fn, schedule, options)), services)

    @classmethod
    def apply_schedules(cls, schedules: list[ScheduleInput]) -> None:
        """Create schedules, or give those that exist these values: all of them, or none when one cannot be.

        An existing one keeps its status and what it fired. One that a DBOSSchedule resource manages stays
        as it is. Not in workflows. Raises as create_schedule, but not for a name that exists.
        """
        refuse_in_workflow("DBOS.apply_schedules")
        services = engine().services
        run_blocking(apply(services, _rows(services, schedules)), services)

    @classmethod
    async def apply_schedules_async(cls, schedules: list[ScheduleInput]) -> None:
        """As apply_schedules."""
        refuse_in_workflow("DBOS.apply_schedules_async")
        services = engine().services
        await run_on_loop(apply(services, _rows(services, schedules)), services)

    @classmethod
    def list_schedules(
        cls,
        *,
        status: Names = None,
        workflow_name: Names = None,
        schedule_name_prefix: Names = None,
        application_name: Names = None,
    ) -> list[WorkflowSchedule]:
        """The schedules that match every filter, by name.

        Those of the applications named (an empty list: all) or else of this one, and those that nobody owns.
        """
        wanted = ScheduleFilter(
            status=status,
            workflow_name=workflow_name,
            schedule_name_prefix=schedule_name_prefix,
            application_name=application_name,
        )
        return _run(lambda services: list_all(services, wanted))

    @classmethod
    async def list_schedules_async(
        cls,
        *,
        status: Names = None,
        workflow_name: Names = None,
        schedule_name_prefix: Names = None,
        application_name: Names = None,
    ) -> list[WorkflowSchedule]:
        """As list_schedules."""
        wanted = ScheduleFilter(
            status=status,
            workflow_name=workflow_name,
            schedule_name_prefix=schedule_name_prefix,
            application_name=application_name,
        )
        return await _run_async(lambda services: list_all(services, wanted))

    @classmethod
    def get_schedule(cls, name: str) -> WorkflowSchedule | None:
        """A schedule by its name; None when there is none."""
        return _run(lambda services: get(services, name))

    @classmethod
    async def get_schedule_async(cls, name: str) -> WorkflowSchedule | None:
        """As get_schedule."""
        return await _run_async(lambda services: get(services, name))

    @classmethod
    def delete_schedule(cls, name: str) -> None:
        """Remove a schedule; runs that were started go on. Nothing happens when there is none of that name."""
        _run(lambda services: delete(services, name))

    @classmethod
    async def delete_schedule_async(cls, name: str) -> None:
        """As delete_schedule."""
        await _run_async(lambda services: delete(services, name))

    @classmethod
    def pause_schedule(cls, name: str) -> None:
        """Let a schedule fire nothing until it is resumed, in every process at once."""
        _run(lambda services: set_status(services, name, ScheduleStatus.PAUSED))

    @classmethod
    def resume_schedule(cls, name: str) -> None:
        """Let a schedule fire again. What was due meanwhile is not made up for; see backfill_schedule."""
        _run(lambda services: set_status(services, name, ScheduleStatus.ACTIVE))

    @classmethod
    def backfill_schedule(cls, schedule_name: str, start: datetime, end: datetime) -> list[WorkflowHandle[None]]:
        """Enqueue the runs of a schedule that were due between two moments, neither included; their handles.

        A run that was started before is not started again. Times without a zone are UTC. Not in workflows.
        """
        refuse_in_workflow("DBOS.backfill_schedule")
        running = engine()
        ids = run_blocking(backfill(running.services, schedule_name, start, end), running.services)
        return [WorkflowHandle(workflow_id, running.services, EngineStatuses(running)) for workflow_id in ids]

    @classmethod
    def trigger_schedule(cls, schedule_name: str) -> WorkflowHandle[None]:
        """Run the workflow of a schedule now, paused or not; its handle. Not in workflows."""
        refuse_in_workflow("DBOS.trigger_schedule")
        running = engine()
        workflow_id = run_blocking(trigger(running.services, schedule_name), running.services)
        return WorkflowHandle(workflow_id, running.services, EngineStatuses(running))


def check_entries(schedules: object, required: Sequence[str]) -> None:
    """Raise TypeError, or DBOSException naming the entry, for schedules that are not as they must be."""
    if not isinstance(schedules, list | tuple):
        raise TypeError(f"schedules: expected a list, got {type(schedules).__name__}")
    for position, entry in enumerate(schedules):
        if not isinstance(entry, dict):
            raise TypeError(f"schedules: expected a dictionary as entry {position}, got {type(entry).__name__}")
        for field in required:
            if field not in entry:
                raise DBOSException(f"Schedule entry {position} is missing required field {field!r}")


def check_known(entry: dict[str, Any], position: int, known: frozenset[str]) -> None:
    """Raise TypeError naming keys of an entry that no schedule has."""
    unknown = sorted(set(entry) - known)
    if unknown:
        raise TypeError(
            f"Schedule entry {position}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )


def options_of(entry: dict[str, Any]) -> ScheduleOptions:
    """What an entry says besides names and cron text."""
    names = ScheduleOptions.__annotations__
    return cast("ScheduleOptions", {name: value for name, value in entry.items() if name in names})


def _rows(services: Services, schedules: list[ScheduleInput]) -> list[ScheduleRow]:
    check_entries(schedules, ("schedule_name", "workflow_fn", "schedule"))
    rows = []
    for position, entry in enumerate(schedules):
        check_known(cast("dict[str, Any]", entry), position, frozenset(ScheduleInput.__annotations__))
        options = options_of(cast("dict[str, Any]", entry))
        rows.append(_row(services, entry["schedule_name"], entry["workflow_fn"], entry["schedule"], options))
    return rows


def _row(
    services: Services, name: str, function: ScheduledWorkflow, schedule: str, options: ScheduleOptions
) -> ScheduleRow:
    workflow_name, class_name = _target(function)
    _check_arguments(function, workflow_name, "the time at which it is due and the context")
    declared = Declaration(
        name=name,
        workflow_name=workflow_name,
        class_name=class_name,
        schedule=schedule,
        application=services.claimant.application,
        options=options,
    )
    return new_schedule(services, declared)


def scheduled_workflow(function: ScheduledWorkflow) -> WorkflowFunction:
    """The workflow that a function is registered as. Raises DBOSException for other functions, steps included."""
    workflow = getattr(function, WORKFLOW_ATTRIBUTE, None)
    if not isinstance(workflow, WorkflowFunction):
        name = getattr(function, "__qualname__", repr(function))
        raise DBOSWorkflowFunctionNotFoundError(
            "<NONE>", f"{name} is not registered: decorate it with @DBOS.workflow()"
        )
    if workflow.name.startswith(STEP_WORKFLOW_PREFIX):
        raise DBOSException(f"{workflow.name.removeprefix(STEP_WORKFLOW_PREFIX)} is a step: schedules start workflows")
    return workflow


def _target(function: ScheduledWorkflow) -> tuple[str, str | None]:
    workflow = scheduled_workflow(function)
    receiver = getattr(function, "__self__", None)
    if inspect.isclass(receiver):
        return workflow.name, registry.targets.class_name(receiver)
    if receiver is not None or registry.targets.kind_of(workflow.name) is MethodKind.INSTANCE:
        raise DBOSException(
            f"{workflow.name} is a method of an instance: schedules start functions, static methods and class methods"
        )
    return workflow.name, None


def _stands_in_a_class(function: Callable[..., Any]) -> bool:
    """Whether a decorated function may yet become a method, whose first argument is another one."""
    around = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(around) and not around.endswith("<locals>")


def _check_arguments(function: Callable[..., Any], name: str, given: str) -> None:
    """Raise DBOSException for a workflow that cannot be called with two arguments: each of its runs would fail."""
    signature = inspect.signature(function)
    try:
        signature.bind(None, None)
    except TypeError:
        taken = ", ".join(signature.parameters)
        raise DBOSException(f"{name}({taken}): expected a workflow that takes two arguments, {given}") from None


def _run(plan: Callable[[Services], Plan[R]]) -> R:
    services = engine().services
    return run_blocking(plan(services), services)


async def _run_async(plan: Callable[[Services], Plan[R]]) -> R:
    services = engine().services
    return await run_on_loop(plan(services), services)
