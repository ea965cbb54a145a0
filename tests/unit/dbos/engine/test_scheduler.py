"""What the scheduler fires and when, with a database that only answers and a clock that is set."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from dbos.engine import scheduler
from dbos.engine.scheduler import Scheduler
from dbos.serialization.decoding import decode_inputs
from dbos.serialization.encoding import encode_context
from dbos.store.operation import Statement
from dbos.store.schedules import ScheduleRow
from dbos.telemetry import ScheduleFired
from support.store_records import a_claimant

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment


class Tables:
    """Schedules and the runs that they started."""

    def __init__(self) -> None:
        self.rows: dict[str, ScheduleRow] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.inputs: dict[str, str] = {}
        self.fired: dict[str, str] = {}
        self.poisoned: set[str] = set()
        self.failure: Exception | None = None
        self.writes = 0

    def attempt(self, operation: Any) -> Any:
        if self.failure is not None:
            raise self.failure
        performed = operation()
        try:
            statement = next(performed)
            while True:
                statement = performed.send(self._answer(statement))
        except StopIteration as done:
            return done.value

    def _answer(self, statement: Statement) -> list[dict[str, Any]]:
        match statement.name:
            case "load_active_schedules":
                return [_as_row(row) for row in self.rows.values() if row.status == "ACTIVE"]
            case "enqueue_runs":
                self.writes += 1
                return self._insert(json.loads(statement.parameters["runs"]))
        raise AssertionError(statement.name)

    def _insert(self, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if any(run["workflow_name"] in self.poisoned for run in runs):
            raise psycopg.errors.CheckViolation("poisoned")
        new = [run for run in runs if run["workflow_id"] not in self.runs and self._is_current(run)]
        self.runs |= {run["workflow_id"]: run for run in new}
        self.inputs |= {run["workflow_id"]: run["inputs"] for run in new}
        self.fired |= {run["seen_id"]: run["moment"] for run in new}
        return [{"workflow_uuid": run["workflow_id"]} for run in new]

    def _is_current(self, run: dict[str, Any]) -> bool:
        if run["seen_id"] is None:
            return True
        row = self.rows.get(run["schedule_name"])
        return (
            row is not None
            and row.status == "ACTIVE"
            and [row.schedule_id, row.schedule, row.context, row.cron_timezone]
            == [run[f"seen_{column}"] for column in ("id", "schedule", "context", "timezone")]
        )


def _as_row(row: ScheduleRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ScheduleRow.__dataclass_fields__}


class Setting:
    """A scheduler, and the world around it."""

    def __init__(self, declared: dict[str, str] | None = None) -> None:
        self.clock, self.tables = ManualClock(), Tables()
        self.woken: list[str] = []
        self.late: list[float] = []
        services: Any = SimpleNamespace(
            database=self.tables,
            claimant=a_claimant(),
            serialization="py_pickle",
            records_steps=True,
            wake_queue=self.woken.append,
            telemetry=SimpleNamespace(emit=self._hear),
        )
        self.scheduler = Scheduler(services, declared or {}, poll_seconds=0.001, clock=self.clock)

    def add(self, name: str, schedule: str, **fields: Any) -> None:
        given = {
            "schedule_id": f"id-{name}",
            "schedule_name": name,
            "workflow_name": "report",
            "schedule": schedule,
            "context": encode_context({"of": name}, "py_pickle"),
            "application_name": "orders",
        }
        self.tables.rows[name] = ScheduleRow(**{**given, **fields})

    def change(self, name: str, **fields: Any) -> None:
        self.tables.rows[name] = replace(self.tables.rows[name], **fields)

    def look(self, *, after: timedelta = timedelta(0)) -> list[str]:
        """Let time pass and the scheduler look once; the IDs of the runs that it started."""
        before = set(self.tables.runs)
        self.clock.moment += after
        self.scheduler.refresh()
        self.scheduler._next_load = 0.0
        self.scheduler.turn()
        return sorted(set(self.tables.runs) - before)

    def pass_seconds(self, seconds: int) -> list[str]:
        """Let seconds pass, one by one."""
        return [workflow_id for _ in range(seconds) for workflow_id in self.look(after=SECOND)]

    def _hear(self, event: Any) -> None:
        assert isinstance(event, ScheduleFired)
        self.late.append(event.late_seconds)


@pytest.fixture
def setting() -> Setting:
    return Setting()


def ids(name: str, *seconds: int, zone: str = "+00:00", hour: int = 12) -> list[str]:
    return [f"sched-{name}-2026-11-21T{hour}:{second // 60:02}:{second % 60:02}{zone}" for second in seconds]


def test_a_run_has_the_id_and_the_arguments_that_every_worker_gives_it(setting: Setting) -> None:
    setting.add("often", "*/2 * * * * *", cron_timezone="Asia/Tokyo", queue_name="reports")
    assert setting.look() == []
    assert setting.pass_seconds(3) == ids("often", 2, zone="+09:00", hour=21)
    (run,) = setting.tables.runs.values()
    assert (run["workflow_name"], run["queue_name"], run["schedule_name"]) == ("report", "reports", "often")
    assert (run["application_name"], run["serialization"]) == ("orders", None)
    (moment, context), named = decode_inputs(setting.tables.inputs[run["workflow_id"]], None)
    assert (moment.isoformat(), context, named) == ("2026-11-21T21:00:02+09:00", {"of": "often"}, {})
    assert setting.tables.fired == {"id-often": "2026-11-21T21:00:02+09:00"}
    assert setting.woken == ["reports"]
    assert setting.late == [0.0]


def test_a_run_without_a_queue_goes_to_the_internal_one(setting: Setting) -> None:
    setting.add("plain", "* * * * * *")
    setting.look()
    setting.look(after=SECOND)
    assert setting.woken == ["_dbos_internal_queue"]


def test_what_nobody_owns_becomes_a_run_of_this_application(setting: Setting) -> None:
    setting.add("free", "* * * * * *", application_name=None)
    setting.look()
    setting.look(after=SECOND)
    assert [run["application_name"] for run in setting.tables.runs.values()] == ["orders"]


def test_what_somebody_else_fired_is_not_fired_again(setting: Setting) -> None:
    setting.add("shared", "* * * * * *")
    setting.look()
    (theirs,) = ids("shared", 1)
    setting.tables.runs[theirs] = {}
    assert setting.pass_seconds(2) == ids("shared", 2)
    assert setting.late == [0.0]


def test_many_schedules_at_one_moment_go_in_one_write(setting: Setting) -> None:
    for number in range(40):
        setting.add(f"s{number}", "* * * * * *")
    setting.look()
    assert len(setting.look(after=SECOND)) == 40
    assert setting.tables.writes == 1


def test_a_busy_process_fires_every_moment_however_late(setting: Setting) -> None:
    setting.add("often", "* * * * * *")
    setting.look()
    assert setting.look(after=SECOND * 1.9) == ids("often", 1)
    assert setting.pass_seconds(2) == ids("often", 2, 3)


def test_a_process_that_slept_fires_the_last_run_of_what_it_missed(setting: Setting) -> None:
    setting.add("often", "* * * * * *")
    setting.add("seldom", "*/20 * * * * *")
    setting.look()
    assert setting.look(after=SECOND * 50) == [*ids("often", 50), *ids("seldom", 40)]
    assert setting.pass_seconds(1) == ids("often", 51)


def test_a_process_that_slept_through_nothing_fires_nothing(setting: Setting) -> None:
    setting.add("hourly", "0 * * * *")
    setting.look()
    assert setting.look(after=SECOND * 50) == []


def test_who_asks_for_it_gets_all_that_was_missed_by_sleep(setting: Setting) -> None:
    setting.add("all", "*/10 * * * * *", automatic_backfill=True)
    setting.look()
    assert setting.look(after=SECOND * 30) == ids("all", 10, 20, 30)
    assert setting.late == []


def test_the_first_look_makes_up_for_what_was_missed_since_the_last_run(setting: Setting) -> None:
    last = (NOON - SECOND * 4).isoformat()
    setting.add("asked", "* * * * * *", automatic_backfill=True, last_fired_at=last)
    setting.add("not asked", "* * * * * *", last_fired_at=last)
    setting.add("new", "* * * * * *", automatic_backfill=True)
    setting.add("odd", "* * * * * *", automatic_backfill=True, last_fired_at="yesterday")
    made_up = setting.look()
    assert made_up == [
        f"sched-asked-2026-11-21T{time}+00:00" for time in ("11:59:57", "11:59:58", "11:59:59", "12:00:00")
    ]


def test_a_schedule_that_appears_later_makes_up_for_nothing(setting: Setting) -> None:
    setting.look()
    setting.add("late", "* * * * * *", automatic_backfill=True, last_fired_at=(NOON - SECOND * 9).isoformat())
    assert setting.look() == []
    assert setting.pass_seconds(1) == ids("late", 1)


def test_a_paused_schedule_makes_up_for_nothing_when_it_is_resumed(setting: Setting) -> None:
    setting.add("often", "* * * * * *", automatic_backfill=True)
    setting.look()
    setting.change("often", status="PAUSED")
    assert setting.pass_seconds(3) == []
    setting.change("often", status="ACTIVE")
    assert setting.look() == []
    assert setting.pass_seconds(1) == ids("often", 4)


def test_a_pause_holds_before_the_rows_are_read_again(setting: Setting) -> None:
    setting.add("often", "* * * * * *")
    setting.look()
    setting.change("often", status="PAUSED")
    setting.clock.moment += SECOND
    setting.scheduler._next_load = float("inf")
    setting.scheduler.turn()
    assert setting.tables.runs == {}


def test_a_row_that_changed_unseen_is_fired_as_it_is_now(setting: Setting) -> None:
    setting.add("often", "* * * * * *")
    setting.look()
    setting.change("often", context=encode_context("new", "py_pickle"))
    setting.clock.moment += SECOND
    setting.scheduler._next_load = float("inf")
    setting.scheduler.turn()
    (workflow_id,) = ids("often", 1)
    assert decode_inputs(setting.tables.inputs[workflow_id], None)[0][1] == "new"


def test_a_new_cron_text_counts_from_now(setting: Setting) -> None:
    setting.add("often", "* * * * * *")
    setting.look()
    setting.change("often", schedule="*/30 * * * * *")
    assert setting.pass_seconds(30) == ids("often", 30)


def test_a_new_context_drops_no_run(setting: Setting) -> None:
    setting.add("often", "* * * * * *")
    setting.look()
    setting.change("often", context=encode_context("new", "py_pickle"))
    assert setting.look(after=SECOND) == ids("often", 1)


def test_a_clock_that_is_set_back_stops_no_schedule(setting: Setting) -> None:
    setting.add("often", "* * * * * *")
    setting.look()
    setting.look(after=SECOND)
    assert setting.look(after=-timedelta(days=400)) == []
    assert len(setting.pass_seconds(2)) == 2


def test_due_runs_are_kept_while_the_database_does_not_answer(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    setting.add("often", "* * * * * *")
    setting.look()
    setting.tables.failure = psycopg.OperationalError("gone")
    with caplog.at_level(logging.WARNING):
        assert setting.pass_seconds(3) == []
    assert len([record for record in caplog.records if "does not answer" in record.message]) == 1
    setting.tables.failure = None
    assert setting.pass_seconds(1) == ids("often", 1, 2, 3, 4)
    assert max(setting.late) == 3.0


def test_kept_runs_are_bounded_and_the_oldest_go_first(
    setting: Setting, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "MOST_KEPT", 3)
    setting.add("often", "* * * * * *")
    setting.look()
    setting.tables.failure = psycopg.OperationalError("gone")
    setting.pass_seconds(5)
    setting.tables.failure = None
    assert setting.look() == ids("often", 3, 4, 5)
    assert "given up" in caplog.text


def test_a_run_that_cannot_be_stored_stops_no_other(setting: Setting, caplog: pytest.LogCaptureFixture) -> None:
    setting.tables.poisoned = {"poison"}
    setting.add("bad", "* * * * * *", workflow_name="poison")
    setting.add("good", "* * * * * *")
    setting.look()
    assert setting.pass_seconds(2) == ids("good", 1, 2)
    assert "A run of schedule bad cannot be enqueued" in caplog.text


class Moody:
    """A context that can be read and not be written."""

    def __reduce__(self) -> Any:
        return (Moody.__new__, (Moody,)) if Moody.writable else _refuse()

    writable = True


def _refuse() -> Any:
    raise TypeError("not now")


def test_a_context_that_cannot_be_written_leaves_out_its_runs_and_no_other(
    setting: Setting, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting.add("moody", "* * * * * *", context=encode_context(Moody(), "py_pickle"))
    setting.add("good", "* * * * * *")
    monkeypatch.setattr(Moody, "writable", False)
    setting.look()
    assert setting.pass_seconds(2) == ids("good", 1, 2)
    assert setting.look(after=SECOND * 9) == ids("good", 11)
    assert "A run of schedule moody cannot be stored" in caplog.text
    monkeypatch.setattr(Moody, "writable", True)
    setting.look(after=SECOND)
    assert setting.look(after=SECOND) == sorted([*ids("moody", 13), *ids("good", 13)])


@pytest.mark.parametrize(
    "fields",
    [{"context": "gibberish"}, {"schedule": "not cron"}, {"cron_timezone": "Nowhere/Land"}],
)
def test_a_row_that_cannot_be_fired_is_told_once_and_stops_no_other(
    setting: Setting, caplog: pytest.LogCaptureFixture, fields: dict[str, Any]
) -> None:
    setting.add("bad", **{"schedule": "* * * * * *", **fields})
    setting.add("good", "* * * * * *")
    setting.look()
    assert setting.pass_seconds(2) == ids("good", 1, 2)
    assert caplog.text.count("Schedule bad cannot be fired here") == 1
    setting.add("bad", "* * * * * *")
    setting.look()
    assert setting.look(after=SECOND) == sorted([*ids("bad", 3), *ids("good", 3)])


def test_a_declared_workflow_runs_under_its_name_with_both_times() -> None:
    setting = Setting({"tidy": "*/5 * * * * *"})
    setting.scheduler._declare()
    setting.look()
    assert setting.pass_seconds(5) == ids("tidy", 5)
    (run,) = setting.tables.runs.values()
    assert (run["workflow_name"], run["schedule_name"], run["application_name"]) == ("tidy", None, "orders")
    (scheduled, actual), _ = decode_inputs(setting.tables.inputs[run["workflow_id"]], run["serialization"])
    assert (scheduled, actual) == (NOON + SECOND * 5, NOON + SECOND * 5)
    assert scheduled.tzinfo is UTC
