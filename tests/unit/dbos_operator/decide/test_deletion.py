from __future__ import annotations

from datetime import timedelta

import pytest

from dbos_operator.decide.changes import Remove, RowRemoval
from dbos_operator.decide.child import ChildPlan, decide_child
from dbos_operator.decide.databases import DatabaseView
from dbos_operator.decide.deletion import overdue
from dbos_operator.decide.plan import decide_rows
from dbos_operator.decide.rows import Owned, Row
from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import FINALIZER, Kind, Uid
from dbos_operator.resources.specs import QueueDeletion, ScheduleDeletion
from support.builders import (
    CLUSTER,
    NOW,
    a_queue,
    a_queue_row,
    a_record,
    a_schedule,
    a_schedule_row,
    a_situation,
    an_identity,
    broken,
)

LEAVING = {"deleting_since": NOW, "finalizers": ("other", FINALIZER)}
MARK = f"k8s:{CLUSTER}:uid-of-nightly"


def farewell(policy: ScheduleDeletion, *rows: Row | Owned) -> ChildPlan:
    return decide_child(a_schedule(spec={"deletion_policy": policy}, **LEAVING), a_situation(*rows))


def how(plan: ChildPlan) -> Remove | None:
    return plan.change.how if isinstance(plan.change, RowRemoval) else None


def a_schedule_record(uid: str = "uid-of-nightly") -> Owned:
    return a_record(Kind.SCHEDULE, "nightly", uid)


@pytest.mark.parametrize(
    ("policy", "row", "record", "expected"),
    [
        (ScheduleDeletion.PAUSE, a_schedule_row(row_id=MARK), a_schedule_record(), Remove.PAUSE),
        (ScheduleDeletion.PAUSE, a_schedule_row(), a_schedule_record(), Remove.PAUSE),
        (ScheduleDeletion.PAUSE, a_schedule_row(row_id=MARK, status="PAUSED"), None, None),
        (ScheduleDeletion.PAUSE, a_schedule_row(row_id=MARK), None, Remove.PAUSE),
        (ScheduleDeletion.DELETE, a_schedule_row(row_id=MARK), a_schedule_record(), Remove.DELETE),
        (ScheduleDeletion.RETAIN, a_schedule_row(row_id=MARK), a_schedule_record(), Remove.KEEP),
        (ScheduleDeletion.RETAIN, a_schedule_row(row_id=MARK), None, None),
        (ScheduleDeletion.DELETE, None, a_schedule_record(), Remove.KEEP),
        (ScheduleDeletion.DELETE, None, None, None),
        (ScheduleDeletion.DELETE, a_schedule_row(), None, None),
        (ScheduleDeletion.DELETE, a_schedule_row(), a_schedule_record("other"), None),
    ],
)
def test_a_deleted_schedule_does_what_its_policy_says_to_its_own_row(
    policy: ScheduleDeletion, row: Row | None, record: Owned | None, expected: Remove | None
) -> None:
    plan = farewell(policy, *(found for found in (row, record) if found is not None))
    assert how(plan) is expected
    assert plan.finalizers_after == ("other",)
    assert plan.finalizers is None


def test_a_queue_that_is_not_empty_waits_for_its_deletion() -> None:
    queue = a_queue(spec={"deletion_policy": QueueDeletion.DELETE}, **LEAVING)
    rows = (a_queue_row(row_id=f"k8s:{CLUSTER}:uid-of-emails"), a_record(Kind.QUEUE, "emails", "uid-of-emails"))
    waiting = decide_child(queue, a_situation(*rows, busy_queues=frozenset({"emails"})))
    assert (waiting.change, waiting.finalizers_after) == (None, None)
    assert "empty" in waiting.waits_for
    assert how(decide_child(queue, a_situation(*rows))) is Remove.DELETE


@pytest.mark.parametrize(
    ("ago", "terminating", "expected"), [(299, False, False), (300, False, True), (29, True, False), (30, True, True)]
)
def test_a_finalizer_lets_go_of_a_row_that_cannot_be_reached(ago: int, terminating: bool, expected: bool) -> None:
    identity = an_identity(Kind.SCHEDULE, "nightly", deleting_since=NOW - timedelta(seconds=ago))
    assert overdue(identity, NOW, terminating=terminating) is expected


def test_an_object_that_is_not_deleted_is_never_overdue() -> None:
    assert not overdue(an_identity(Kind.SCHEDULE, "nightly"), NOW, terminating=True)


def test_the_oldest_of_two_wins_and_the_other_is_told_and_has_no_finalizer() -> None:
    old = a_queue("old", spec={"queue_name": "q"}, age=10, uid="z")
    young = a_queue("young", spec={"queue_name": "q"}, age=5, uid="a", finalizers=(FINALIZER,))
    plan = decide_rows(DatabaseView(queues=(young, old)), (), frozenset(), a_situation())
    winner, loser = plan.children
    assert winner.resource is old
    assert loser.change is None
    assert loser.problem is not None
    assert (loser.problem.reason, loser.finalizers) == (Reason.NAME_TAKEN, ())
    assert "team/old" in loser.problem.message


def test_of_two_of_one_age_the_lower_uid_wins() -> None:
    one, two = a_queue("a", spec={"queue_name": "q"}, uid="2"), a_queue("b", spec={"queue_name": "q"}, uid="1")
    assert decide_rows(DatabaseView(queues=(one, two)), (), frozenset(), a_situation()).children[0].resource is two


def test_an_object_that_is_deleted_and_owes_nothing_does_not_stand_in_the_way() -> None:
    leaving = a_queue("old", spec={"queue_name": "q"}, age=10, deleting_since=NOW, finalizers=("foreground",))
    other = a_queue("young", spec={"queue_name": "q"})
    [plan] = decide_rows(DatabaseView(queues=(leaving, other)), (), frozenset(), a_situation()).children
    assert plan.resource is other
    assert plan.problem is None


def test_records_of_owners_that_are_gone_are_released() -> None:
    gone, alive = a_record(Kind.QUEUE, "a", "gone"), a_record(Kind.QUEUE, "b", "alive")
    plan = decide_rows(DatabaseView(), (), frozenset({Uid("alive")}), a_situation(gone, alive))
    assert [(release.name, release.how) for release in plan.releases] == [("a", Remove.KEEP)]


def test_a_schedule_that_cannot_be_read_any_more_is_paused_when_it_is_deleted() -> None:
    leaving = broken(a_schedule("unreadable", **LEAVING))
    record = a_record(Kind.SCHEDULE, "nightly", "uid-of-unreadable")
    plan = decide_rows(DatabaseView(), (leaving,), frozenset(), a_situation(a_schedule_row(), record))
    assert [how(child) for child in plan.children] == [Remove.PAUSE]
    assert plan.children[0].finalizers_after == ("other",)


def test_the_next_due_time_is_the_earliest() -> None:
    view = DatabaseView(schedules=(a_schedule("a"), a_schedule("b", spec={"schedule": "@daily"})))
    plan = decide_rows(view, (), frozenset(), a_situation())
    assert plan.next_due == NOW + timedelta(minutes=1)
    assert set(plan.clockworks) == {"uid-of-a", "uid-of-b"}
