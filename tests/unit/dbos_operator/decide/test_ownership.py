from __future__ import annotations

from dataclasses import replace

import pytest

from dbos_operator.decide.ownership import Census, Claim, Mark, abandoned, judge, parse_mark
from dbos_operator.decide.rows import Owned, Row
from dbos_operator.resources.identity import ClusterId, Kind, Uid
from support.builders import CENSUS, CLUSTER, a_queue_row, a_record, an_identity

ME = an_identity(Kind.QUEUE, "emails", uid="me")


def record(uid: str, **fields: object) -> Owned:
    return a_record(Kind.QUEUE, "emails", uid, **fields)


@pytest.mark.parametrize("row_id", ["", "x", "k8s:", "k8s:c1", "k8s:c1:", "k8s::u", "K8S:c1:u"])
def test_ids_that_are_no_mark(row_id: str) -> None:
    assert parse_mark(row_id) is None


def test_a_mark_is_read_as_it_is_written() -> None:
    mark = Mark(ClusterId("a:b"), Uid("u"))
    assert parse_mark(str(mark)) == mark


@pytest.mark.parametrize(
    ("row", "owned", "claim"),
    [
        (a_queue_row(), None, Claim.FREE),
        (a_queue_row(application="orders"), None, Claim.FREE),
        (a_queue_row(row_id="k8s:c1:me"), None, Claim.OURS),
        (a_queue_row(row_id="k8s:c1:gone"), None, Claim.RECLAIMED),
        (a_queue_row(row_id="k8s:c2:me"), None, Claim.TAKEN),
        (a_queue_row(), record("me"), Claim.OURS),
        (a_queue_row(row_id="k8s:c1:other"), record("me"), Claim.OURS),
        (a_queue_row(application="billing"), record("me"), Claim.OURS),
        (a_queue_row(), record("gone"), Claim.FREE),
        (a_queue_row(row_id="k8s:c1:gone"), record("gone"), Claim.RECLAIMED),
        (a_queue_row(), record("me", cluster_id=ClusterId("c2")), Claim.TAKEN),
        (a_queue_row(), record("silent"), Claim.TAKEN),
    ],
)
def test_what_a_resource_may_do_with_a_row(row: Row, owned: Owned | None, claim: Claim) -> None:
    census = replace(CENSUS, silent=frozenset({Uid("silent")}))
    assert judge(ME, row, owned, census).claim is claim


@pytest.mark.parametrize(
    ("own", "other", "claim"),
    [
        ("orders", "orders", Claim.FREE),
        ("orders", None, Claim.FREE),
        (None, "billing", Claim.FREE),
        ("orders", "billing", Claim.TAKEN),
    ],
)
def test_a_row_of_another_application_is_taken(own: str | None, other: str | None, claim: Claim) -> None:
    census = replace(CENSUS, application_name=own)
    verdict = judge(ME, a_queue_row(application=other), None, census)
    assert verdict.claim is claim
    assert verdict.holder == ("application billing" if claim is Claim.TAKEN else "")


def test_what_lives_in_namespaces_that_are_not_watched_is_not_taken_for_gone() -> None:
    census = Census(cluster_id=CLUSTER, namespaces=("team",))
    abroad = record("unknown", namespace="elsewhere")
    assert judge(ME, a_queue_row(), abroad, census).claim is Claim.TAKEN
    assert not abandoned(abroad, census, frozenset())
    assert abandoned(record("gone"), census, frozenset())
    assert not abandoned(record("alive"), census, frozenset({Uid("alive")}))
    assert not abandoned(record("gone", cluster_id=ClusterId("c2")), census, frozenset())
