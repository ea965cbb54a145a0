"""Schedules, versions and debouncers for both runtimes: rows, then runs, then what workflows leave behind."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from dbos import DBOS, DBOSClient, Debouncer, DebouncerClient, SetEnqueueOptions, SetWorkflowID
from dbos import error as errors

URL = os.environ["DBOS_SYSTEM_DATABASE_URL"]
YEARLY = "0 0 1 1 *"
START, END = datetime(2023, 12, 31, 23, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


@DBOS.workflow(name="report")
def report(moment: datetime, context: Any) -> list[Any]:
    """What a schedule runs."""
    return [moment.isoformat(), context]


@DBOS.workflow(name="process")
def process(value: int, *, more: Any = None) -> list[Any]:
    """What a debouncer runs."""
    return [value, more]


@DBOS.dbos_class("Clerk")
class Clerk:
    """A class with a workflow."""

    @classmethod
    @DBOS.workflow(name="shared")
    def shared(cls, moment: datetime, context: Any) -> str:
        """A class method."""
        return f"{cls.__name__} {moment.year} {context}"


@DBOS.workflow(name="manages")
def manages() -> list[Any]:
    """Every call about schedules that is a step, one that fails, and those that workflows may not make."""
    DBOS.create_schedule(schedule_name="inner", workflow_fn=report, schedule=YEARLY, context={"a": [1]})
    seen: list[Any] = []
    for refused in (
        lambda: DBOS.create_schedule(schedule_name="inner", workflow_fn=report, schedule=YEARLY),
        lambda: DBOS.create_schedule(schedule_name="bad", workflow_fn=report, schedule="nonsense"),
        lambda: DBOS.create_schedule(schedule_name="bad", workflow_fn=report, schedule=YEARLY, queue_name="nowhere"),
        lambda: DBOS.trigger_schedule("inner"),
        lambda: DBOS.backfill_schedule("inner", START, END),
        lambda: DBOS.apply_schedules([]),
    ):
        try:
            refused()
        except errors.DBOSException as error:
            seen.append(type(error).__name__)
    DBOS.pause_schedule("inner")
    DBOS.resume_schedule("inner")
    found = DBOS.get_schedule("inner")
    seen += [None if found is None else found["context"], DBOS.get_schedule("nowhere")]
    seen.append(len(DBOS.list_schedules(schedule_name_prefix="inner")))
    seen.append(DBOS.get_latest_application_version()["version_name"])
    DBOS.delete_schedule("inner")
    return seen


@DBOS.workflow(name="debounces")
def debounces() -> list[Any]:
    """A new run, a further call, and a key that something else holds."""
    debouncer = Debouncer.create(process, queue="parked")
    ids = [debouncer.debounce("inner", 3600, number).workflow_id for number in (1, 2)]
    with suppress(errors.DBOSQueueDeduplicatedError):
        debouncer.debounce("held", 3600, 3)
    with SetWorkflowID("named-in-workflow"):
        ids.append(
            Debouncer.create(process, debounce_timeout_sec=7200, queue="parked").debounce("t", 9000, 4).workflow_id
        )
    return ids


def schedules(client: DBOSClient) -> None:
    """Rows by all calls, and runs that were asked for."""
    DBOS.create_schedule(schedule_name="plain", workflow_fn=report, schedule=YEARLY)
    DBOS.create_schedule(
        schedule_name="full",
        workflow_fn=report,
        schedule="30 4 1 2 3 *",
        context={"region": ["eu", 1]},
        automatic_backfill=True,
        cron_timezone="Europe/Berlin",
        queue_name="live",
    )
    DBOS.create_schedule(schedule_name="method", workflow_fn=Clerk.shared, schedule=YEARLY, context="c")
    client.create_schedule(schedule_name="unowned", workflow_name="report", schedule=YEARLY, context=None)
    client.create_schedule(
        schedule_name="foreign",
        workflow_name="other",
        workflow_class_name="K",
        schedule=YEARLY,
        queue_name="unheard-of",
        application_name="billing",
    )
    DBOS.pause_schedule("full")
    DBOS.apply_schedules(
        [
            {"schedule_name": "full", "workflow_fn": report, "schedule": "0 5 * * *", "cron_timezone": "Asia/Tokyo"},
            {"schedule_name": "applied", "workflow_fn": report, "schedule": YEARLY, "context": 1},
        ]
    )
    client.apply_schedules([{"schedule_name": "by-client", "workflow_name": "report", "schedule": YEARLY}])
    client.create_schedule(schedule_name="gone", workflow_name="report", schedule=YEARLY)
    client.delete_schedule("gone")
    for handle in DBOS.backfill_schedule("plain", START, END):
        handle.get_result()
    client.backfill_schedule("method", START, END)[0].get_result(polling_interval_sec=0.05)


def debouncers(client: DBOSClient) -> None:
    """Runs that wait, in the application and by a client."""
    options = {"workflow_name": "process", "queue_name": "parked"}
    client.enqueue({**options, "workflow_id": "holder", "deduplication_id": "process-held", "delay_seconds": 3600}, 0)
    with SetWorkflowID("debounced"):
        Debouncer.create(process).debounce("k", 3600, 1)
    Debouncer.create(process).debounce("k", 7200, 2, more={"b": 1})
    with SetWorkflowID("bounded"):
        Debouncer.create(process, debounce_timeout_sec=1800).debounce("b", 3600, 1)
    with SetWorkflowID("versioned"), SetEnqueueOptions(app_version="v7"):
        Debouncer("process", queue="parked").debounce("v", 3600, 1)
    with SetWorkflowID("foreign-run"):
        Debouncer("process", application_name="billing").debounce("f", 3600, 1)
    by_client = {**options, "workflow_id": "by-client-debouncer", "app_version": "v1", "workflow_timeout": 60}
    for number in (1, 2):
        DebouncerClient(client, by_client, debounce_timeout_sec=7200).debounce("c", 3600, number)
    with SetWorkflowID("ran"):
        Debouncer.create(process, queue="live").debounce("r", 0.1, 7).get_result()


async def by_twins() -> None:
    """The coroutine twins."""
    await DBOS.create_schedule_async(schedule_name="by-twin", workflow_fn=report, schedule=YEARLY)
    with SetWorkflowID("by-twin"):
        await Debouncer.create(process).debounce_async("twin", 3600, 1)


def main() -> None:
    """Everything, in an order that does not change."""
    DBOS(config={"name": "interop", "system_database_url": URL})
    DBOS.launch()
    for queue in ("live", "parked"):
        DBOS.register_queue(queue, polling_interval_sec=0.05)
    client = DBOSClient(system_database_url=URL)
    schedules(client)
    debouncers(client)
    asyncio.run(by_twins())
    for workflow_id, workflow in (("manages", manages), ("debounces", debounces)):
        with SetWorkflowID(workflow_id):
            workflow()
    DBOS.set_latest_application_version("v1")
    time.sleep(0.1)
    client.destroy()
    DBOS.destroy()


if __name__ == "__main__":
    main()
