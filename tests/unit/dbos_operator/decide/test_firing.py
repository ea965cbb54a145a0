from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbos.core.cron import UnknownTimeZoneError
from dbos_operator.decide.changes import RowWrite
from dbos_operator.decide.child import ChildPlan, decide_child
from dbos_operator.decide.firing import MOST_AT_ONCE, Clockwork, Ticket, count_missed, decide_firing, wind
from dbos_operator.decide.rows import Owned, Row
from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import Kind
from support.builders import CLUSTER, NOW, a_record, a_schedule, a_schedule_row, a_situation


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def a_ticket(text: str = "* * * * *", **fields: Any) -> Ticket:
    return Ticket(name="s", text=text, **{"time_zone": None, "active_since": NOW - timedelta(days=1), **fields})


def due(ticket: Ticket, at: datetime, *, since: datetime) -> list[str]:
    clockwork = Clockwork(rule=wind(ticket, None, since).rule, next_due=wind(ticket, None, since).next_due)
    return [run.workflow_id for run in decide_firing(ticket, clockwork, at).due]


def test_nothing_is_due_before_its_time_and_the_moment_itself_is() -> None:
    ticket = a_ticket()
    clockwork = wind(ticket, None, NOW + seconds(1))
    clockwork = decide_firing(ticket, clockwork, NOW + seconds(1)).clockwork
    assert clockwork.next_due == NOW + seconds(60)
    assert decide_firing(ticket, clockwork, NOW + seconds(59.9)).due == ()
    firing = decide_firing(ticket, clockwork, NOW + seconds(60))
    assert [run.workflow_id for run in firing.due] == ["sched-s-2026-11-21T08:01:00+00:00"]
    assert firing.clockwork.next_due == NOW + seconds(120)


def test_every_moment_since_the_last_look_is_due_under_its_own_id() -> None:
    ticket = a_ticket("*/20 * * * * *")
    clockwork = Clockwork(rule=wind(ticket, None, NOW).rule, next_due=NOW + seconds(20))
    firing = decide_firing(ticket, clockwork, NOW + seconds(70))
    assert [run.moment for run in firing.due] == [NOW + seconds(20), NOW + seconds(40), NOW + seconds(60)]
    assert len({run.workflow_id for run in firing.due}) == 3


def test_what_was_due_more_than_a_minute_ago_is_missed() -> None:
    ticket = a_ticket()
    clockwork = Clockwork(rule=wind(ticket, None, NOW).rule, next_due=NOW + seconds(60))
    later = NOW + timedelta(hours=3, seconds=30)
    assert [run.moment for run in decide_firing(ticket, clockwork, later).due] == [NOW + timedelta(hours=3)]


def test_what_was_due_before_the_schedule_was_active_is_not_owed() -> None:
    assert due(a_ticket(active_since=NOW + seconds(10)), NOW + seconds(20), since=NOW) == []
    assert due(a_ticket(active_since=NOW - seconds(10)), NOW + seconds(20), since=NOW + seconds(20)) != []


def missed(before: Clockwork | None, last_fired: datetime | None, now: datetime, **fields: Any) -> int:
    ticket = a_ticket(**fields)
    return count_missed(ticket, before, wind(ticket, before, now).rule, last_fired, now)


def test_what_an_operator_that_starts_finds_unfired_was_missed() -> None:
    assert missed(None, NOW - seconds(300), NOW) == 4  # the fifth, NOW itself, is fired
    assert missed(None, NOW, NOW + seconds(60)) == 0
    assert missed(None, None, NOW, active_since=NOW - seconds(180)) == 2
    assert missed(None, NOW - timedelta(days=1), NOW) == MOST_AT_ONCE


def test_what_was_due_before_the_schedule_was_active_was_not_missed() -> None:
    assert missed(None, NOW - timedelta(days=1), NOW, active_since=NOW - seconds(30)) == 0


def test_a_missed_moment_is_counted_by_one_look_only_and_not_when_a_worker_fired_it() -> None:
    ticket = a_ticket()
    before = Clockwork(rule=wind(ticket, None, NOW).rule, next_due=NOW + seconds(60))
    later = NOW + seconds(200)
    assert missed(before, NOW, later) == 2
    assert missed(before, NOW + seconds(120), later) == 0
    assert missed(decide_firing(ticket, before, later).clockwork, NOW, later + seconds(5)) == 0


def test_the_rule_that_was_just_edited_owes_nothing() -> None:
    before = wind(a_ticket("@daily"), None, NOW)
    assert missed(before, NOW - timedelta(days=1), NOW) == 0


def test_an_operator_that_starts_looks_back_a_minute() -> None:
    clockwork = wind(a_ticket(), None, NOW + seconds(30))
    assert clockwork.next_due == NOW


def test_a_clockwork_goes_on_until_text_or_zone_change() -> None:
    before = wind(a_ticket(), None, NOW)
    assert wind(a_ticket(), before, NOW + seconds(50)) is before
    assert wind(a_ticket(time_zone="Asia/Tokyo"), before, NOW) is not before
    assert wind(a_ticket("@daily"), before, NOW) is not before


def test_ids_are_those_of_the_schedules_zone() -> None:
    ticket = a_ticket("0 3 * * *", time_zone="America/New_York", active_since=datetime(2026, 11, 20, tzinfo=UTC))
    at = datetime(2026, 11, 21, 8, 0, 5, tzinfo=UTC)
    assert due(ticket, at, since=at) == ["sched-s-2026-11-21T03:00:00-05:00"]


@pytest.mark.parametrize(
    ("changed_ago", "others"),
    [(seconds(119), ("sched-s-2026-11-21T17:00:00+09:00",)), (seconds(121), ())],
)
def test_the_id_of_the_zone_before_is_looked_at_for_two_minutes(
    changed_ago: timedelta, others: tuple[str, ...]
) -> None:
    ticket = a_ticket(zone_before="Asia/Tokyo", zone_changed_at=NOW - changed_ago)
    clockwork = Clockwork(rule=wind(ticket, None, NOW).rule, next_due=NOW)
    assert decide_firing(ticket, clockwork, NOW).due[0].other_ids == others


def test_a_zone_before_that_nobody_knows_changes_nothing() -> None:
    ticket = a_ticket(zone_before="Mars/Base", zone_changed_at=NOW)
    clockwork = Clockwork(rule=wind(ticket, None, NOW).rule, next_due=NOW)
    assert decide_firing(ticket, clockwork, NOW).due[0].other_ids == ()


def test_a_catch_up_is_bounded_and_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbos_operator.decide.firing.MOST_AT_ONCE", 10)
    assert MOST_AT_ONCE > 60
    ticket = a_ticket("* * * * * *")
    clockwork = Clockwork(rule=wind(ticket, None, NOW).rule, next_due=NOW)
    first = decide_firing(ticket, clockwork, NOW + seconds(15))
    second = decide_firing(ticket, first.clockwork, NOW + seconds(15))
    moments = [run.moment for run in (*first.due, *second.due)]
    assert moments == [NOW + seconds(count) for count in range(16)]


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(UnknownTimeZoneError):
        wind(a_ticket(time_zone="Mars/Base"), None, NOW)


def owned(**columns: Any) -> tuple[Row, Owned]:
    first = decide_child(a_schedule(), a_situation()).change
    assert isinstance(first, RowWrite)
    record = a_record(
        Kind.SCHEDULE,
        "nightly",
        "uid-of-nightly",
        applied=dict(first.record.applied),
        source=first.record.source,
        active_since=NOW - timedelta(hours=1),
    )
    row = a_schedule_row(row_id=f"k8s:{CLUSTER}:uid-of-nightly", application="orders", **{**first.columns, **columns})
    return row, record


def plan_of(*rows: Row | Owned, **spec: Any) -> ChildPlan:
    return decide_child(a_schedule(spec=spec), a_situation(*rows))


def test_a_due_run_carries_what_the_row_says() -> None:
    [fire] = plan_of(*owned(workflow_class_name="Reports")).fires
    assert (fire.workflow_id, fire.workflow_name) == ("sched-nightly-2026-11-21T08:00:00+00:00", "w")
    assert (fire.queue_name, fire.application_name) == ("_dbos_internal_queue", "orders")
    assert fire.class_name == "Reports"


def test_a_row_whose_context_only_the_application_can_read_is_fired_by_workers() -> None:
    record = a_record(
        Kind.SCHEDULE,
        "nightly",
        "uid-of-nightly",
        applied={"workflow_name": "w", "schedule": "* * * * *"},
        active_since=NOW - timedelta(hours=1),
    )
    plan = plan_of(a_schedule_row(), record)
    assert plan.fires == ()
    assert plan.fired_by_workers
    assert plan.clockwork is not None


def test_an_adopted_row_with_a_zone_that_nobody_knows_is_told() -> None:
    plan = plan_of(a_schedule_row(cron_timezone="Mars/Base"))
    assert plan.problem is not None
    assert plan.problem.reason is Reason.INVALID_TIME_ZONE
