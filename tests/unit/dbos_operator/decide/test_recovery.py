from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dbos_operator.decide.changes import ForgetExecutor, LoseExecutor, Recover, SeeExecutor
from dbos_operator.decide.recovery import (
    ExecutorDecision,
    PodSighting,
    Sighting,
    current_version,
    decide_executors,
    targets_to_list,
)
from dbos_operator.decide.rows import ExecutorRecord, Running
from dbos_operator.resources.identity import ClusterId
from dbos_operator.resources.selector import Selector, parse_selector
from support.builders import CLUSTER, NOW, WORKER, an_executor

GRACE = timedelta(seconds=60)
SELECTOR = Selector.of_labels({"app": "worker"})
BUSY = (Running("pod", "v1", 2),)


def a_sighting(*pods: str, template: str = "t1", known: bool = True) -> Sighting:
    found = tuple(PodSighting(name, f"uid-of-{name}") for name in pods)
    return Sighting(target=WORKER, selector=SELECTOR, template=template, pods=found if known else None)


def decide(
    records: Sequence[ExecutorRecord], sighting: Sighting | None, running: Sequence[Running] = BUSY, **options: Any
) -> ExecutorDecision:
    sightings = {} if sighting is None else {WORKER: sighting}
    return decide_executors(records, sightings, running, CLUSTER, NOW, **{"grace": GRACE, **options})


def test_a_new_pod_is_recorded_once() -> None:
    [seen] = decide([], a_sighting("pod"), ()).changes
    assert isinstance(seen, SeeExecutor)
    assert (seen.record.executor_id, seen.record.template, seen.record.version) == ("pod", "t1", None)
    assert decide([seen.record], a_sighting("pod"), ()).changes == ()


def test_a_pods_rows_show_its_version() -> None:
    [seen] = decide([an_executor("pod")], a_sighting("pod")).changes
    assert isinstance(seen, SeeExecutor)
    assert seen.record.version == "v1"
    assert decide([seen.record], a_sighting("pod")).changes == ()


def test_a_record_of_an_earlier_version_gets_the_whole_selector_and_keeps_what_else_it_knows() -> None:
    expressions = [{"key": "tier", "operator": "Exists"}]
    tiered = parse_selector({"matchLabels": {"app": "worker"}, "matchExpressions": expressions})
    old = an_executor("pod", version="v1")

    [seen] = decide([old], replace(a_sighting("pod"), selector=tiered), ()).changes

    assert seen == SeeExecutor(replace(old, selector=tiered))


def test_a_pod_that_is_not_listed_any_more_is_lost_and_waited_for() -> None:
    decision = decide([an_executor("pod")], a_sighting())
    assert decision.changes == (LoseExecutor(CLUSTER, "team", "pod", "uid-of-pod", NOW),)
    assert decision.next_due == NOW + GRACE


@pytest.mark.parametrize("sighting", [None, a_sighting(known=False)])
def test_a_pod_is_not_lost_while_its_target_cannot_be_listed(sighting: Sighting | None) -> None:
    assert decide([an_executor("pod")], sighting).changes == ()
    gone = an_executor("pod", gone_since=NOW - 2 * GRACE)
    assert decide([gone], sighting).changes == ()


def test_a_gone_pod_is_recovered_after_the_grace_period_and_not_before() -> None:
    early = decide([an_executor("pod", gone_since=NOW - GRACE / 2)], a_sighting())
    assert early.changes == ()
    assert early.next_due == NOW + GRACE / 2
    assert decide([an_executor("pod", gone_since=NOW - GRACE)], a_sighting()).changes == (Recover("pod", GRACE),)


def test_a_gone_pod_that_left_nothing_is_left_alone_and_forgotten_after_a_day() -> None:
    gone = an_executor("pod", gone_since=NOW - timedelta(hours=23))
    assert decide([gone], a_sighting(), ()).changes == ()
    old = an_executor("pod", gone_since=NOW - timedelta(days=1))
    assert decide([old], None, ()).changes == (ForgetExecutor(CLUSTER, "team", "pod", "uid-of-pod"),)


def test_a_pod_that_was_never_recorded_is_never_recovered() -> None:
    assert decide([], a_sighting(), (Running("local", "v1", 1),)).changes == ()


@pytest.mark.parametrize(
    "other",
    [
        an_executor("pod", cluster_id=ClusterId("c2")),
        an_executor("pod", namespace="other"),
    ],
)
def test_an_executor_id_that_lives_elsewhere_is_left_alone(other: ExecutorRecord) -> None:
    gone = an_executor("pod", gone_since=NOW - GRACE)
    assert Recover("pod", GRACE) not in decide([gone, other], a_sighting()).changes


def test_pods_of_another_cluster_are_not_ours_to_lose() -> None:
    assert decide([an_executor("pod", cluster_id=ClusterId("c2"))], a_sighting()).changes == ()


def test_nothing_is_recovered_when_recovery_is_off() -> None:
    assert decide([an_executor("pod", gone_since=NOW - GRACE)], a_sighting(), grace=None).changes == ()


def test_a_pod_that_comes_back_under_its_name_is_another_one() -> None:
    before = an_executor("pod", pod_uid="old", version="v0", gone_since=NOW)
    [seen] = decide([before], a_sighting("pod"), ()).changes
    assert isinstance(seen, SeeExecutor)
    assert (seen.record.pod_uid, seen.record.version, seen.record.gone_since) == ("uid-of-pod", None, None)


def test_a_template_is_known_by_the_newest_of_its_pods() -> None:
    records = [
        an_executor("a", version="v1", seen_at=NOW - GRACE),
        an_executor("b", version="v2", seen_at=NOW),
        an_executor("c", version="v3", template="t2", seen_at=NOW + GRACE),
        an_executor("d", version="v4", cluster_id=ClusterId("c2"), seen_at=NOW + GRACE),
    ]
    assert current_version(records, CLUSTER, a_sighting()) == "v2"
    assert current_version(records, CLUSTER, a_sighting(template="t2")) == "v3"
    assert current_version(records, CLUSTER, a_sighting(template="t9")) is None


def test_without_a_template_only_living_pods_prove_anything() -> None:
    records = [an_executor("a", version="v1", template="")]
    assert current_version(records, CLUSTER, a_sighting(template="")) is None
    assert current_version(records, CLUSTER, a_sighting("a", template="")) == "v1"


def test_targets_of_recorded_pods_are_looked_at_until_nothing_of_them_is_left() -> None:
    alive, gone = an_executor("a"), an_executor("pod", gone_since=NOW)
    assert set(targets_to_list([alive], (), CLUSTER)) == {WORKER}
    assert set(targets_to_list([gone], BUSY, CLUSTER)) == {WORKER}
    assert set(targets_to_list([gone], (), CLUSTER)) == set()
