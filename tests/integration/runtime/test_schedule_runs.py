"""What schedules start: each run once, at its time, and what calls in workflows leave behind."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, SetWorkflowID
from dbos.error import DBOSException
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.twins import Twin
from support.waiting import eventually

pytestmark = pytest.mark.both_databases

YEARLY = "0 0 1 1 *"
EVERY_SECOND = "* * * * * *"
START = datetime(2023, 12, 31, 23, 0, tzinfo=UTC)
END = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """Both kinds of calls."""
    return Twin(is_async=request.param)


@pytest.fixture
def report() -> Callable[..., Any]:
    """A workflow for schedules."""

    @DBOS.workflow(name="report")
    def run(moment: datetime, context: Any) -> list[Any]:
        return [moment.isoformat(), context]

    return run


def _rows(sql: Bystander) -> list[dict[str, Any]]:
    return sql.execute("SELECT * FROM dbos.workflow_schedules ORDER BY schedule_name").fetchall()


def _runs(sql: Bystander) -> list[dict[str, Any]]:
    return sql.execute(
        "SELECT * FROM dbos.workflow_status WHERE workflow_uuid LIKE 'sched-%%' ORDER BY workflow_uuid", []
    ).fetchall()


def _steps(sql: Bystander, workflow_id: str) -> list[tuple[int, str, bool]]:
    rows = sql.execute(
        "SELECT function_id, function_name, error IS NULL AS fine FROM dbos.operation_outputs"
        " WHERE workflow_uuid = %s ORDER BY function_id",
        [workflow_id],
    ).fetchall()
    return [(row["function_id"], row["function_name"], bool(row["fine"])) for row in rows]


def _moments(first: list[dict[str, Any]], name: str) -> list[datetime]:
    return [datetime.fromisoformat(row["workflow_uuid"].removeprefix(f"sched-{name}-")) for row in first]


# -- in workflows --------------------------------------------------------------------------------------------------


def test_in_a_workflow_each_call_is_a_step_and_a_replay_sees_the_same(
    launch: Launch, twin: Twin, sql: Bystander, report: Any
) -> None:
    given = {"schedule_name": "a", "workflow_fn": report, "schedule": YEARLY, "context": 5}
    create = functools.partial(DBOS.create_schedule_async if twin.is_async else DBOS.create_schedule, **given)

    def program() -> Any:
        yield (create,)
        listed = yield ("list_schedules",)
        found = yield ("get_schedule", "a")
        missing = yield ("get_schedule", "z")
        refused = ""
        try:
            yield (create,)
        except DBOSException as error:
            refused = str(error)
        yield ("delete_schedule", "a")
        return [len(listed), found["context"], missing, refused]

    workflow = twin.workflow(program, name="manages")
    launch()
    with SetWorkflowID("m"):
        first = _run(twin, workflow)
    assert first[:3] == [1, 5, None]
    assert "already exists" in first[3]
    assert _steps(sql, "m") == [
        (1, "DBOS.createSchedule", True),
        (2, "DBOS.listSchedules", True),
        (3, "DBOS.getSchedule", True),
        (4, "DBOS.getSchedule", True),
        (5, "DBOS.createSchedule", False),
        (6, "DBOS.deleteSchedule", True),
    ]
    forked: Any = DBOS.fork_workflow("m", 7).get_result()
    assert forked == first
    assert _rows(sql) == []


def _run(twin: Twin, workflow: Any, *args: Any) -> Any:
    return asyncio.run(workflow(*args)) if twin.is_async else workflow(*args)


def test_pause_and_resume_are_steps_too(launch: Launch, sql: Bystander, report: Any) -> None:
    @DBOS.workflow()
    def turns() -> str:
        DBOS.pause_schedule("a")
        DBOS.resume_schedule("a")
        DBOS.pause_schedule("nowhere")
        return "done"

    launch()
    DBOS.create_schedule(schedule_name="a", workflow_fn=report, schedule=YEARLY)
    with SetWorkflowID("turns"):
        turns()
    names = [name for _, name, _ in _steps(sql, "turns")]
    assert names == ["DBOS.pauseSchedule", "DBOS.resumeSchedule", "DBOS.pauseSchedule"]


def test_calls_that_start_runs_are_refused_in_workflows_and_allowed_in_their_steps(
    launch: Launch, sql: Bystander, report: Any
) -> None:
    @DBOS.step()
    def in_step() -> Any:
        return DBOS.trigger_schedule("a").workflow_id

    @DBOS.workflow()
    def tries() -> list[str]:
        refused = []
        for call in (
            lambda: DBOS.trigger_schedule("a"),
            lambda: DBOS.backfill_schedule("a", START, END),
            lambda: DBOS.apply_schedules([]),
        ):
            try:
                call()
            except DBOSException as error:
                refused.append(str(error))
        return [*refused, in_step()]

    launch()
    DBOS.create_schedule(schedule_name="a", workflow_fn=report, schedule=YEARLY)
    with SetWorkflowID("tries"):
        *refused, triggered = tries()
    assert all("cannot be called from a workflow" in text for text in refused)
    assert len(refused) == 3
    assert triggered.startswith("sched-a-trigger-")
    # The refused calls have drawn IDs, as in every SDK: what follows keeps its place.
    [(function_id, _, _)] = _steps(sql, "tries")
    assert function_id == 4


# -- runs ----------------------------------------------------------------------------------------------------------


def test_a_backfill_enqueues_each_missed_run_once(
    launch: Launch, sql: Bystander, report: Any, client: DBOSClient
) -> None:
    launch()
    DBOS.create_schedule(
        schedule_name="a", workflow_fn=report, schedule=YEARLY, context="c", cron_timezone="Europe/Berlin"
    )
    handles = DBOS.backfill_schedule("a", START, END)
    results: list[Any] = [handle.get_result() for handle in handles]
    assert results == [["2025-01-01T00:00:00+01:00", "c"], ["2026-01-01T00:00:00+01:00", "c"]]
    naive = client.backfill_schedule("a", START.replace(tzinfo=None), END.replace(tzinfo=None))
    assert [handle.workflow_id for handle in naive] == [handle.workflow_id for handle in handles]
    assert [row["recovery_attempts"] for row in _runs(sql)] == [1, 1]
    assert DBOS.backfill_schedule("a", END, START) == []
    assert _rows(sql)[0]["last_fired_at"] is None
    with pytest.raises(TypeError, match="start: expected a datetime, got str"):
        DBOS.backfill_schedule("a", "2024", END)  # type: ignore[arg-type]
    with pytest.raises(DBOSException, match="Schedule 'z' does not exist"):
        client.backfill_schedule("z", START, END)


def test_a_trigger_runs_a_paused_schedule_now(launch: Launch, sql: Bystander, report: Any, client: DBOSClient) -> None:
    launch()
    DBOS.create_schedule(schedule_name="a", workflow_fn=report, schedule=YEARLY, context="c")
    DBOS.pause_schedule("a")
    before = datetime.now(UTC)
    first: Any = DBOS.trigger_schedule("a").get_result()
    second: Any = client.trigger_schedule("a").get_result(polling_interval_sec=0.05)
    assert first[1] == second[1] == "c"
    assert before < datetime.fromisoformat(first[0]) < datetime.fromisoformat(second[0]) < datetime.now(UTC)
    row = _runs(sql)[0]
    assert row["workflow_uuid"] == f"sched-a-trigger-{first[0]}"
    wanted = {"schedule_name": "a", "application_name": "orders", "application_version": "v1", "serialization": None}
    assert {name: row[name] for name in wanted} == wanted
    with pytest.raises(DBOSException, match="Schedule 'z' does not exist"):
        DBOS.trigger_schedule("z")
    assert DBOS.list_workflows(schedule_name="a")[0].workflow_id == row["workflow_uuid"]


def test_a_schedule_fires_on_time_each_time_once(launch: Launch, sql: Bystander, report: Any) -> None:
    def last_three() -> list[dict[str, Any]]:
        return _runs(sql)[-3:]

    def gaps(rows: list[dict[str, Any]]) -> list[timedelta]:
        return [later - earlier for earlier, later in pairwise(_moments(rows, "often"))]

    launch()
    DBOS.create_schedule(schedule_name="often", workflow_fn=report, schedule=EVERY_SECOND, context={"a": 1})
    # A process that had no time for two seconds leaves out what was due meanwhile.
    runs = eventually(last_three, lambda rows: gaps(rows) == [timedelta(seconds=1)] * 2, what="three in a row")
    DBOS.pause_schedule("often")
    moments = _moments(runs, "often")
    assert DBOS.get_result(runs[0]["workflow_uuid"]) == [moments[0].isoformat(), {"a": 1}]
    late_ms = [row["created_at"] - moment.timestamp() * 1000 for row, moment in zip(runs, moments, strict=True)]
    assert -900 < min(late_ms) < 900
    assert max(late_ms) < 10_000
    [row] = _rows(sql)
    assert datetime.fromisoformat(row["last_fired_at"]) >= moments[-1]


def test_a_pause_holds_at_once_and_a_resumed_schedule_goes_on_from_now(
    launch: Launch, sql: Bystander, report: Any
) -> None:
    launch()
    DBOS.create_schedule(schedule_name="often", workflow_fn=report, schedule=EVERY_SECOND, automatic_backfill=True)
    eventually(lambda: _runs(sql), bool, what="a run")
    DBOS.pause_schedule("often")
    paused = datetime.now(UTC)
    time.sleep(2.2)

    def since_the_pause() -> list[datetime]:
        return [moment for moment in _moments(_runs(sql), "often") if moment > paused]

    assert since_the_pause() == []
    resumed = datetime.now(UTC)
    DBOS.resume_schedule("often")
    moments = eventually(since_the_pause, bool, what="a run after the pause")
    assert moments[0] > resumed - timedelta(seconds=1)


def test_a_deleted_schedule_fires_no_more(launch: Launch, sql: Bystander, report: Any) -> None:
    launch()
    DBOS.create_schedule(schedule_name="often", workflow_fn=report, schedule=EVERY_SECOND)
    eventually(lambda: _runs(sql), bool, what="a run")
    DBOS.delete_schedule("often")
    deleted = datetime.now(UTC)
    time.sleep(1.5)
    assert [moment for moment in _moments(_runs(sql), "often") if moment > deleted] == []


def test_a_client_s_schedule_is_fired_soon(launch: Launch, sql: Bystander, report: Any, client: DBOSClient) -> None:
    launch()
    client.create_schedule(schedule_name="theirs", workflow_name="report", schedule=EVERY_SECOND)
    runs = eventually(lambda: _runs(sql), bool, what="a run", within=20)  # the next reading is due after 30
    assert runs[0]["schedule_name"] == "theirs"


def test_what_another_sdk_changed_is_seen_although_nothing_announces_it(
    launch: Launch, sql: Bystander, report: Any
) -> None:
    launch(scheduler_polling_interval_sec=3600)
    DBOS.create_schedule(schedule_name="changed", workflow_fn=report, schedule="0 0 1 1 *")
    sql.execute("UPDATE dbos.workflow_schedules SET schedule = %s", [EVERY_SECOND])
    eventually(lambda: _runs(sql), bool, what="a run")


def test_a_launch_makes_up_for_missed_runs_where_that_is_asked_for(
    launch: Launch, sql: Bystander, report: Any, client: DBOSClient
) -> None:
    for name, asked in (("asked", True), ("not asked", False)):
        client.create_schedule(
            schedule_name=name, workflow_name="report", schedule="0 * * * *", automatic_backfill=asked
        )
    fired = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    sql.execute("UPDATE dbos.workflow_schedules SET last_fired_at = %s", [fired.isoformat()])
    launch()
    expected = [f"sched-asked-{(fired + timedelta(hours=hour)).isoformat()}" for hour in (1, 2, 3)]
    runs = eventually(lambda: _runs(sql), lambda rows: len(rows) >= 3, what="the missed runs")
    assert [row["workflow_uuid"] for row in runs][:3] == expected
    [asked_row, _] = _rows(sql)
    assert datetime.fromisoformat(asked_row["last_fired_at"]) >= fired + timedelta(hours=3)


def test_runs_go_to_the_latest_version_of_their_application(launch: Launch, sql: Bystander, report: Any) -> None:
    launch()
    sql.execute(
        "INSERT INTO dbos.application_versions (version_id, version_name, version_timestamp, application_name)"
        " VALUES ('2', 'v2', 9999999999999, 'orders'), ('3', 'v3', 99999999999999, 'billing')"
    )
    DBOS.create_schedule(schedule_name="a", workflow_fn=report, schedule=YEARLY)
    handle = DBOS.trigger_schedule("a")
    status = handle.get_status()
    assert (status.app_version, status.status) == ("v2", "ENQUEUED")


# -- @DBOS.scheduled -----------------------------------------------------------------------------------------------


def test_declared_workflows_run_at_their_times_sync_and_async(launch: Launch, sql: Bystander) -> None:
    seen: dict[str, list[tuple[datetime, datetime]]] = {"plain": [], "coroutine": []}

    @DBOS.scheduled(EVERY_SECOND)
    @DBOS.workflow(name="plain")
    def plain(scheduled_time: datetime, actual_time: datetime) -> None:
        seen["plain"].append((scheduled_time, actual_time))

    @DBOS.scheduled(EVERY_SECOND)
    @DBOS.workflow(name="coroutine")
    async def coroutine(scheduled_time: datetime, actual_time: datetime) -> None:
        seen["coroutine"].append((scheduled_time, actual_time))

    launch()
    eventually(lambda: seen, lambda runs: all(len(times) >= 2 for times in runs.values()), what="two runs of each")
    for times in seen.values():
        for scheduled, actual in times:
            assert scheduled.microsecond == 0
            assert scheduled <= actual < scheduled + timedelta(seconds=10)
            assert scheduled.tzinfo is UTC
        assert min(actual - scheduled for scheduled, actual in times) < timedelta(seconds=1)
    fired = f"sched-plain-{min(seen['plain'])[0].isoformat()}"
    [row] = [row for row in _runs(sql) if row["workflow_uuid"] == fired]
    wanted = {"queue_name": "_dbos_internal_queue", "application_version": "v1", "schedule_name": None}
    assert {name: row[name] for name in wanted} == wanted
    assert _rows(sql) == []


def test_a_declaration_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="expected five fields"):

        @DBOS.scheduled("nonsense")
        @DBOS.workflow(name="w")
        def workflow(_scheduled: datetime, _actual: datetime) -> None: ...

    with pytest.raises(DBOSException, match="is not registered"):

        @DBOS.scheduled(EVERY_SECOND)
        def plain(_scheduled: datetime, _actual: datetime) -> None: ...

    with pytest.raises(DBOSException, match=r"lonely\(\): expected a workflow that takes two arguments"):

        @DBOS.scheduled(EVERY_SECOND)
        @DBOS.workflow(name="lonely")
        def lonely() -> None: ...

    with pytest.raises(DBOSException, match="own is a method"):

        @DBOS.dbos_class("Clerk")
        class Clerk:
            @DBOS.scheduled(EVERY_SECOND)
            @DBOS.workflow(name="own")
            def own(self, _scheduled: datetime, _actual: datetime) -> None: ...

    DBOS.destroy(destroy_registry=True)
