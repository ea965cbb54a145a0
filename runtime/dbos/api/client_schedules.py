"""Schedules, from outside of the application."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict, cast

from dbos.api.handles import StatusReader, WorkflowHandle
from dbos.api.schedules import check_entries, check_known, options_of
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.schedules import (
    Declaration,
    Names,
    ScheduleFilter,
    WorkflowSchedule,
    apply,
    backfill,
    create,
    delete,
    get,
    list_all,
    new_schedule,
    set_status,
    trigger,
)
from dbos.engine.services import Services
from dbos.store.schedules import ScheduleRow, ScheduleStatus


class ClientScheduleInput(TypedDict, total=False):
    """A schedule to apply; `schedule_name`, `workflow_name` and `schedule` are required."""

    schedule_name: str
    """The name, once in a database."""
    workflow_name: str
    """The workflow, by the name that its decorator gives it."""
    workflow_class_name: str | None
    """The class of that workflow, where it is a static or class method."""
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
    application_name: str | None
    """The application that fires it. Default: that of the client."""


class ClientSchedules:
    """The part of DBOSClient that is about schedules."""

    _services: Services
    _application: str | None

    def create_schedule(
        self,
        *,
        schedule_name: str,
        workflow_name: str,
        schedule: str,
        context: Any = None,
        workflow_class_name: str | None = None,
        automatic_backfill: bool = False,
        cron_timezone: str | None = None,
        queue_name: str | None = None,
        application_name: str | None = None,
    ) -> None:
        """Have an application run a workflow, by its name, whenever a cron text comes true, each time once.

        As DBOS.create_schedule; whether workflow and queue exist is not looked at. `application_name`
        (default: the client's) owns the schedule; one of nobody is fired by any application of the database.
        """
        row = self._schedule_row(
            {
                "schedule_name": schedule_name,
                "workflow_name": workflow_name,
                "schedule": schedule,
                "context": context,
                "workflow_class_name": workflow_class_name,
                "automatic_backfill": automatic_backfill,
                "cron_timezone": cron_timezone,
                "queue_name": queue_name,
                "application_name": application_name,
            }
        )
        run_blocking(create(self._services, row), self._services)

    async def create_schedule_async(
        self,
        *,
        schedule_name: str,
        workflow_name: str,
        schedule: str,
        context: Any = None,
        workflow_class_name: str | None = None,
        automatic_backfill: bool = False,
        cron_timezone: str | None = None,
        queue_name: str | None = None,
        application_name: str | None = None,
    ) -> None:
        """As create_schedule."""
        row = self._schedule_row(
            {
                "schedule_name": schedule_name,
                "workflow_name": workflow_name,
                "schedule": schedule,
                "context": context,
                "workflow_class_name": workflow_class_name,
                "automatic_backfill": automatic_backfill,
                "cron_timezone": cron_timezone,
                "queue_name": queue_name,
                "application_name": application_name,
            }
        )
        await run_on_loop(create(self._services, row), self._services)

    def apply_schedules(self, schedules: list[ClientScheduleInput]) -> None:
        """Create schedules, or give those that exist these values: all of them, or none when one cannot be.

        As DBOS.apply_schedules.
        """
        run_blocking(apply(self._services, self._schedule_rows(schedules)), self._services)

    async def apply_schedules_async(self, schedules: list[ClientScheduleInput]) -> None:
        """As apply_schedules."""
        await run_on_loop(apply(self._services, self._schedule_rows(schedules)), self._services)

    def list_schedules(
        self,
        *,
        status: Names = None,
        workflow_name: Names = None,
        schedule_name_prefix: Names = None,
        application_name: Names = None,
    ) -> list[WorkflowSchedule]:
        """The schedules that match every filter, by name.

        Those of the applications named (an empty list: all) or else of the client's, if it has one, and of nobody.
        """
        wanted = ScheduleFilter(
            status=status,
            workflow_name=workflow_name,
            schedule_name_prefix=schedule_name_prefix,
            application_name=application_name,
        )
        return run_blocking(list_all(self._services, wanted), self._services)

    async def list_schedules_async(
        self,
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
        return await run_on_loop(list_all(self._services, wanted), self._services)

    def get_schedule(self, name: str) -> WorkflowSchedule | None:
        """A schedule by its name; None when there is none."""
        return run_blocking(get(self._services, name), self._services)

    async def get_schedule_async(self, name: str) -> WorkflowSchedule | None:
        """As get_schedule."""
        return await run_on_loop(get(self._services, name), self._services)

    def delete_schedule(self, name: str) -> None:
        """Remove a schedule; runs that were started go on. Nothing happens when there is none of that name."""
        run_blocking(delete(self._services, name), self._services)

    async def delete_schedule_async(self, name: str) -> None:
        """As delete_schedule."""
        await run_on_loop(delete(self._services, name), self._services)

    def pause_schedule(self, name: str) -> None:
        """Let a schedule fire nothing until it is resumed."""
        run_blocking(set_status(self._services, name, ScheduleStatus.PAUSED), self._services)

    def resume_schedule(self, name: str) -> None:
        """Let a schedule fire again. What was due meanwhile is not made up for; see backfill_schedule."""
        run_blocking(set_status(self._services, name, ScheduleStatus.ACTIVE), self._services)

    def backfill_schedule(self, schedule_name: str, start: datetime, end: datetime) -> list[WorkflowHandle[None]]:
        """Enqueue the runs of a schedule that were due between two moments, neither included; their handles.

        A run that was started before is not started again. Times without a zone are UTC.
        """
        ids = run_blocking(backfill(self._services, schedule_name, start, end), self._services)
        return [self._run_handle(workflow_id) for workflow_id in ids]

    def trigger_schedule(self, schedule_name: str) -> WorkflowHandle[None]:
        """Run the workflow of a schedule now, paused or not; its handle."""
        return self._run_handle(run_blocking(trigger(self._services, schedule_name), self._services))

    def _run_handle(self, workflow_id: str) -> WorkflowHandle[None]:
        return WorkflowHandle(workflow_id, self._services, cast("StatusReader", self))

    def _schedule_rows(self, schedules: list[ClientScheduleInput]) -> list[ScheduleRow]:
        check_entries(schedules, ("schedule_name", "workflow_name", "schedule"))
        rows = []
        for position, entry in enumerate(cast("list[dict[str, Any]]", schedules)):
            check_known(entry, position, frozenset(ClientScheduleInput.__annotations__))
            rows.append(self._schedule_row(entry))
        return rows

    def _schedule_row(self, entry: dict[str, Any]) -> ScheduleRow:
        declared = Declaration(
            name=entry["schedule_name"],
            workflow_name=entry["workflow_name"],
            class_name=entry.get("workflow_class_name"),
            schedule=entry["schedule"],
            application=entry.get("application_name") or self._application,
            options=options_of(entry),
        )
        return new_schedule(self._services, declared)
