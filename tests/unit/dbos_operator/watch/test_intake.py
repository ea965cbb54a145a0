"""What the watch and the listings say together is what the cluster holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dbos_operator.loop.desired import DesiredState
from dbos_operator.resources.identity import Kind, ObjectKey, TargetRef
from dbos_operator.watch.intake import Intake
from dbos_operator.watch.kinds import OWN_KINDS, WORKLOAD_KINDS

QUEUES = OWN_KINDS[Kind.QUEUE]
DEPLOYMENTS = WORKLOAD_KINDS["Deployment"]


def a_queue(name: str = "emails", *, version: int = 1, uid: str | None = None, concurrency: int = 1) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "orders",
            "name": name,
            "uid": uid or f"uid-of-{name}",
            "generation": 1,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"concurrency": concurrency},
    }


def a_deployment(name: str = "worker", *, version: int = 1, replicas: int | None = 2) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "orders", "name": name, "uid": f"uid-of-{name}", "resourceVersion": str(version)},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {}},
        "status": {"readyReplicas": 1},
    }


@pytest.fixture
def desired() -> DesiredState:
    return DesiredState()


@pytest.fixture
def intake(desired: DesiredState) -> Intake:
    return Intake(desired)


@pytest.fixture
def concurrencies(desired: DesiredState) -> Callable[[], dict[str, int | None]]:
    def read() -> dict[str, int | None]:
        queues = desired.snapshot().queues.values()
        return {queue.identity.key.name: queue.spec.concurrency for queue in queues if queue.spec is not None}

    return read


def test_an_object_that_the_watch_shows_is_desired(intake: Intake, concurrencies: Any) -> None:
    intake.take(QUEUES, a_queue(concurrency=3))

    assert concurrencies() == {"emails": 3}


def test_a_later_version_takes_the_place_of_an_earlier_one(intake: Intake, concurrencies: Any) -> None:
    intake.take(QUEUES, a_queue(version=5, concurrency=3))
    intake.take(QUEUES, a_queue(version=6, concurrency=4))

    assert concurrencies() == {"emails": 4}


def test_an_earlier_version_that_arrives_late_changes_nothing(intake: Intake, concurrencies: Any) -> None:
    intake.take(QUEUES, a_queue(version=10, concurrency=4))
    intake.take(QUEUES, a_queue(version=9, concurrency=3))

    assert concurrencies() == {"emails": 4}


def test_a_recreated_object_counts_whatever_its_version(intake: Intake, concurrencies: Any) -> None:
    intake.take(QUEUES, a_queue(version=10, uid="first", concurrency=4))
    intake.take(QUEUES, a_queue(version=9, uid="second", concurrency=3))

    assert concurrencies() == {"emails": 3}


def test_versions_that_are_no_numbers_are_taken_in_the_order_of_arrival(intake: Intake, concurrencies: Any) -> None:
    first, second = a_queue(concurrency=1), a_queue(concurrency=2)
    first["metadata"]["resourceVersion"] = "b"
    second["metadata"]["resourceVersion"] = "a"
    intake.take(QUEUES, first)
    intake.take(QUEUES, second)

    assert concurrencies() == {"emails": 2}


def test_a_deleted_object_is_dropped(intake: Intake, concurrencies: Any) -> None:
    intake.take(QUEUES, a_queue())
    intake.forget(QUEUES, a_queue(version=2))

    assert concurrencies() == {}


def test_the_late_deletion_of_a_predecessor_leaves_its_successor_alone(intake: Intake, concurrencies: Any) -> None:
    intake.take(QUEUES, a_queue(uid="second"))
    intake.forget(QUEUES, a_queue(uid="first"))

    assert concurrencies() == {"emails": 1}


def test_a_listing_drops_what_it_lacks(intake: Intake, concurrencies: Any) -> None:
    intake.take(QUEUES, a_queue("gone"))
    with intake.listing(QUEUES) as listing:
        listing.apply([a_queue("there", concurrency=7)])
        untold = {key.name for key in listing.untold}

    assert concurrencies() == {"there": 7}
    assert untold == {"gone", "there"}


def test_a_listing_of_what_is_known_changes_nothing(intake: Intake, desired: DesiredState) -> None:
    intake.take(QUEUES, a_queue())
    woken: list[None] = []
    desired.subscribe(lambda: woken.append(None))

    with intake.listing(QUEUES) as listing:
        listing.apply([a_queue()])
        assert not listing.untold
    assert woken == []


def test_a_listing_does_not_bring_back_what_the_watch_saw_deleted_meanwhile(intake: Intake, concurrencies: Any) -> None:
    intake.take(QUEUES, a_queue())
    with intake.listing(QUEUES) as listing:
        intake.forget(QUEUES, a_queue(version=2))
        listing.apply([a_queue()])

    assert concurrencies() == {}


def test_a_listing_does_not_drop_what_the_watch_saw_created_meanwhile(intake: Intake, concurrencies: Any) -> None:
    with intake.listing(QUEUES) as listing:
        intake.take(QUEUES, a_queue("new"))
        listing.apply([])

    assert concurrencies() == {"new": 1}


def test_what_the_watch_tells_after_a_listing_is_no_longer_untold(intake: Intake) -> None:
    intake.take(QUEUES, a_queue("gone"))
    with intake.listing(QUEUES) as listing:
        listing.apply([a_queue("heard"), a_queue("unheard")])
        intake.take(QUEUES, a_queue("heard"))
        intake.forget(QUEUES, a_queue("gone"))

        assert [key.name for key in listing.untold] == ["unheard"]


def test_a_listing_that_fails_changes_nothing(intake: Intake, concurrencies: Any) -> None:
    intake.take(QUEUES, a_queue())
    with pytest.raises(ConnectionError), intake.listing(QUEUES):
        raise ConnectionError

    assert concurrencies() == {"emails": 1}


def test_a_listing_of_one_kind_leaves_the_others_alone(intake: Intake, desired: DesiredState) -> None:
    intake.take(QUEUES, a_queue())
    with intake.listing(DEPLOYMENTS) as listing:
        listing.apply([])

    assert list(desired.snapshot().queues) == [ObjectKey("orders", "emails")]


def test_an_object_with_a_spec_that_cannot_be_used_is_desired_with_its_problem(
    intake: Intake, desired: DesiredState
) -> None:
    schedule = a_queue()
    schedule["spec"] = {"workflowName": "report", "schedule": "61 * * * *"}
    intake.take(OWN_KINDS[Kind.SCHEDULE], schedule)

    (resource,) = desired.snapshot().schedules.values()
    assert resource.spec is None
    assert resource.problem is not None


def test_a_deployment_from_a_list_which_omits_its_kind_is_a_workload(intake: Intake, desired: DesiredState) -> None:
    with intake.listing(DEPLOYMENTS) as listing:
        listing.apply([a_deployment()])

    workload = desired.snapshot().workloads[TargetRef("orders", "Deployment", "worker")]
    assert (workload.replicas, workload.ready_replicas, workload.selector.text) == (2, 1, "app=worker")


def test_a_deleted_deployment_is_dropped(intake: Intake, desired: DesiredState) -> None:
    intake.take(DEPLOYMENTS, a_deployment())
    intake.forget(DEPLOYMENTS, a_deployment(version=2))

    assert not desired.snapshot().workloads
