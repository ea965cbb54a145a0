from __future__ import annotations

from datetime import timedelta

import pytest

from dbos_operator.decide.databases import Reached, find_twins, resolve
from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import ObjectKey
from dbos_operator.resources.resource import DesiredSnapshot, Resource
from dbos_operator.resources.specs import DatabaseSpec
from support.builders import NOW, a_database, a_queue, a_schedule, broken

DEFAULT = ObjectKey("team", "default")
SHARED = ObjectKey("shared", "main")


def a_snapshot(*resources: Resource[object]) -> DesiredSnapshot:
    found: dict[str, dict[ObjectKey, Resource[object]]] = {"DBOSDatabase": {}, "DBOSQueue": {}, "DBOSSchedule": {}}
    for resource in resources:
        found[resource.identity.kind.value][resource.identity.key] = resource
    return DesiredSnapshot(
        databases=found["DBOSDatabase"],  # type: ignore[arg-type]
        queues=found["DBOSQueue"],  # type: ignore[arg-type]
        schedules=found["DBOSSchedule"],  # type: ignore[arg-type]
        workloads={},
    )


def shared() -> Resource[DatabaseSpec]:
    return a_database("main", namespace="shared")


def place(
    reference: ObjectKey | None, *databases: Resource[DatabaseSpec], default: ObjectKey | None = None
) -> ObjectKey | Reason:
    queue = a_queue(spec={"database": reference})
    found = resolve(a_snapshot(queue, *databases), default)
    for key, view in found.views.items():
        if queue in view.queues:
            return key
    [stray] = [stray for stray in found.strays if stray.resource is queue]
    return stray.problem.reason


def test_a_resource_without_a_reference_uses_the_default_of_its_namespace_then_the_operators() -> None:
    assert place(None, a_database()) == DEFAULT
    assert place(None, a_database(), shared(), default=SHARED) == DEFAULT
    assert place(None, shared(), default=SHARED) == SHARED
    assert place(None, default=SHARED) is Reason.DATABASE_NOT_FOUND
    assert place(None) is Reason.DATABASE_NOT_FOUND


def test_a_reference_stays_in_its_namespace_unless_it_is_the_operators_default() -> None:
    assert place(ObjectKey("team", "other"), a_database("other")) == ObjectKey("team", "other")
    assert place(ObjectKey("team", "gone")) is Reason.DATABASE_NOT_FOUND
    assert place(SHARED, shared()) is Reason.DATABASE_NOT_ALLOWED
    assert place(SHARED, shared(), default=SHARED) == SHARED
    assert place(SHARED) is Reason.DATABASE_NOT_ALLOWED


def test_a_database_that_cannot_be_read_is_told_and_its_resources_wait() -> None:
    assert place(None, broken(a_database())) is Reason.DATABASE_NOT_READY
    found = resolve(a_snapshot(broken(a_database())), None)
    assert [(stray.problem.reason, stray.child) for stray in found.strays] == [(Reason.INVALID_SPEC, None)]
    assert DEFAULT not in found.views


def test_resources_that_cannot_be_read_are_told() -> None:
    queue, schedule = broken(a_queue()), broken(a_schedule())
    found = resolve(a_snapshot(queue, schedule, a_database()), None)
    assert [stray.child for stray in found.strays] == [queue, schedule]
    assert found.invalid == (queue, schedule)
    assert found.views[DEFAULT].children == ()


def test_a_resource_that_is_being_deleted_stays_with_a_database_that_is_gone() -> None:
    leaving = a_schedule(deleting_since=NOW)
    found = resolve(a_snapshot(leaving), None, {leaving.identity.uid: DEFAULT})
    assert found.views[DEFAULT].schedules == (leaving,)
    staying = a_schedule()
    found = resolve(a_snapshot(staying), None, {staying.identity.uid: DEFAULT})
    assert found.views == {}


@pytest.mark.parametrize("order", [("old", "young"), ("young", "old")])
def test_of_databases_that_are_one_the_younger_are_twins(order: tuple[str, str]) -> None:
    reached = {
        "old": Reached("same", (NOW - timedelta(days=1), "z")),
        "young": Reached("same", (NOW, "a")),
    }
    others = {ObjectKey("team", "alone"): Reached("other", (NOW, "b"))}
    found = find_twins({ObjectKey("team", name): reached[name] for name in order} | others)
    assert found == {ObjectKey("team", "young"): ObjectKey("team", "old")}
