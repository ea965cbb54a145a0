"""Who owns a row: the mark in its ID, the operator's record, and the rules between two that want it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dbos_operator.decide.rows import Owned, Row
from dbos_operator.resources.identity import ClusterId, Identity, Uid

_PREFIX = "k8s:"


@dataclass(frozen=True, slots=True)
class Mark:
    """The owner that is written into the ID of a row which an operator created."""

    cluster_id: ClusterId
    uid: Uid

    def __str__(self) -> str:
        return f"{_PREFIX}{self.cluster_id}:{self.uid}"


def parse_mark(row_id: str) -> Mark | None:
    """The mark in a row's ID, or None for the ID of a row that no operator created."""
    if not row_id.startswith(_PREFIX):
        return None
    cluster_id, _, uid = row_id.removeprefix(_PREFIX).rpartition(":")
    return Mark(ClusterId(cluster_id), Uid(uid)) if cluster_id and uid else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What is known of those who may own rows besides the resource that asks."""

    cluster_id: ClusterId
    application_name: str | None = None
    namespaces: tuple[str, ...] = ()
    """The namespaces that are watched; empty: all. What lives in others cannot be known to be gone."""
    silent: frozenset[Uid] = frozenset()
    """Objects that exist and whose spec cannot be read: they keep what is recorded as theirs."""

    def watches(self, namespace: str) -> bool:
        """Whether objects of the namespace are seen."""
        return not self.namespaces or namespace in self.namespaces


class Claim(StrEnum):
    """What a resource may do with a row."""

    OURS = "ours"
    FREE = "free"
    """Nobody owns it: it can be adopted."""
    RECLAIMED = "reclaimed"
    """It carries a mark of this cluster and its owner is gone: it counts as created, not adopted."""
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim, and who stands in the way when it is refused."""

    claim: Claim
    holder: str = ""


def judge(identity: Identity, row: Row, owned: Owned | None, census: Census) -> Verdict:
    """Decide whether a resource may write a row.

    The record decides where there is one, else the mark in the row's ID. The
    resource has already won against the other resources that name the row, so
    a record of one of those gives way.
    """
    if owned is not None:
        return _judge_record(identity, row, owned, census)
    mark = parse_mark(row.row_id)
    if mark is None:
        return _judge_application(row, census)
    if mark.cluster_id != census.cluster_id:
        return Verdict(Claim.TAKEN, f"cluster {mark.cluster_id}")
    return Verdict(Claim.OURS if mark.uid == identity.uid else Claim.RECLAIMED)


def created_here(row: Row, cluster_id: ClusterId) -> bool:
    """Whether an operator of this cluster created the row."""
    mark = parse_mark(row.row_id)
    return mark is not None and mark.cluster_id == cluster_id


def abandoned(owned: Owned, census: Census, living: frozenset[Uid]) -> bool:
    """Whether the owner of a record is known to be gone."""
    return owned.cluster_id == census.cluster_id and owned.uid not in living and census.watches(owned.namespace)


def _judge_record(identity: Identity, row: Row, owned: Owned, census: Census) -> Verdict:
    if owned.cluster_id != census.cluster_id:
        return Verdict(Claim.TAKEN, f"{owned.namespace}/{owned.resource} of cluster {owned.cluster_id}")
    if owned.uid == identity.uid:
        return Verdict(Claim.OURS)
    if owned.uid in census.silent or not census.watches(owned.namespace):
        return Verdict(Claim.TAKEN, f"{owned.kind} {owned.namespace}/{owned.resource}")
    return Verdict(Claim.RECLAIMED if created_here(row, census.cluster_id) else Claim.FREE)


def _judge_application(row: Row, census: Census) -> Verdict:
    own, other = census.application_name, row.application_name
    if own is not None and other is not None and own != other:
        return Verdict(Claim.TAKEN, f"application {other}")
    return Verdict(Claim.FREE)
