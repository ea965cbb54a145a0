from __future__ import annotations

from dbos_operator.loop.desired import DesiredState
from dbos_operator.loop.world import World, fingerprint
from dbos_operator.resources.identity import FINALIZER, Kind, ObjectKey, TargetRef
from dbos_operator.resources.resource import Workload
from dbos_operator.resources.selector import Selector
from dbos_operator.resources.specs import ScalingSpec
from support.builders import CLUSTER, NOW, WORKER, a_database, a_queue, a_schedule

DEFAULT, SECOND = ObjectKey("team", "default"), ObjectKey("team", "second")
SCALING = {"min_replicas": 0, "max_replicas": 3, "workflows_per_replica": 1}


def a_workload(target: TargetRef, replicas: int = 1) -> Workload:
    return Workload(target=target, uid="u", replicas=replicas, ready_replicas=0, selector=Selector())


def scaled(name: str, *, database: ObjectKey | None = None, age: int = 0) -> object:
    return a_queue(name, spec={"database": database, "scaling": ScalingSpec(target=WORKER, **SCALING)}, age=age)


def a_world(*resources: object) -> World:
    desired = DesiredState()
    for resource in resources:
        desired.put(resource)  # type: ignore[arg-type]
    return World(desired, None, CLUSTER)


def test_only_workloads_that_queues_name_ask_for_a_pass() -> None:
    world = a_world(a_database(), scaled("emails"))
    world.desired.put_workload(a_workload(WORKER))
    before = fingerprint(world.assignment(DEFAULT))
    world.desired.put_workload(a_workload(TargetRef("team", "Deployment", "another")))
    assert fingerprint(world.assignment(DEFAULT)) == before
    world.desired.put_workload(a_workload(WORKER, replicas=2))
    assert fingerprint(world.assignment(DEFAULT)) != before


def test_a_change_of_one_databases_resources_wakes_only_its_loop() -> None:
    world = a_world(a_database(), a_database("second"), a_queue())
    before = {key: fingerprint(world.assignment(key)) for key in (DEFAULT, SECOND)}
    world.desired.put(a_schedule(spec={"database": SECOND}))
    assert fingerprint(world.assignment(DEFAULT)) == before[DEFAULT]
    assert fingerprint(world.assignment(SECOND)) != before[SECOND]


def test_a_target_is_scaled_for_the_database_of_the_oldest_queue_that_names_it() -> None:
    world = a_world(a_database(), a_database("second"), scaled("young"), scaled("old", database=SECOND, age=10))
    assert world.assignment(DEFAULT).foreign_targets == {WORKER: SECOND}
    assert world.assignment(SECOND).foreign_targets == {}


def test_a_database_that_is_gone_keeps_its_loop_while_something_is_owed() -> None:
    world = a_world(a_database(), a_schedule(finalizers=(FINALIZER,)))
    world.now()
    world.desired.put(a_schedule(finalizers=(FINALIZER,), deleting_since=NOW))
    world.desired.drop(Kind.DATABASE, DEFAULT)
    assert world.databases() == {DEFAULT}
    assert world.assignment(DEFAULT).gone
    world.desired.drop(Kind.SCHEDULE, ObjectKey("team", "nightly"))
    assert world.databases() == set()


def test_what_is_deleted_after_its_database_still_finds_it() -> None:
    world = a_world(a_database(), a_schedule(finalizers=(FINALIZER,)))
    world.now()
    world.desired.drop(Kind.DATABASE, DEFAULT)
    assert world.databases() == set(), "a resource that stays has no database any more"
    world.desired.put(a_schedule(finalizers=(FINALIZER,), deleting_since=NOW))
    assert world.databases() == {DEFAULT}
    assert world.assignment(DEFAULT).gone
    world.desired.drop(Kind.SCHEDULE, ObjectKey("team", "nightly"))
    assert world.databases() == set()


def test_the_desired_state_is_sorted_once_for_each_version() -> None:
    world = a_world(a_database(), a_queue())
    assert world.now() is world.now()
    before = world.now()
    world.desired.put(a_queue("another"))
    assert world.now() is not before


def test_a_database_that_is_gone_and_owes_nothing_has_no_assignment() -> None:
    world = a_world(a_database())
    assert world.assignment(DEFAULT) is not None
    world.desired.drop(Kind.DATABASE, DEFAULT)
    assert world.assignment(DEFAULT) is None
