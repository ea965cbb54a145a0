"""What will be done to the rows of one database, and why: every resource with its decision, as one value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dbos_operator.decide.changes import Remove, RowRemoval
from dbos_operator.decide.child import ChildPlan, Situation, decide_child, decide_farewell, decide_loser, row_key
from dbos_operator.decide.databases import Child, DatabaseView
from dbos_operator.decide.firing import Clockwork
from dbos_operator.decide.ownership import abandoned
from dbos_operator.decide.rows import Owned, RowKey
from dbos_operator.resources.identity import FINALIZER, Kind, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that one pass does to the rows of one database."""

    children: tuple[ChildPlan, ...] = ()
    releases: tuple[RowRemoval, ...] = ()
    """Records of owners that are gone."""

    @property
    def clockworks(self) -> Mapping[Uid, Clockwork]:
        """The clockworks to go on with, by the UID of the schedule's resource."""
        return {child.resource.identity.uid: child.clockwork for child in self.children if child.clockwork is not None}

    @property
    def next_due(self) -> datetime | None:
        """When the next run is due that the operator fires."""
        moments = (
            child.clockwork.next_due
            for child in self.children
            if child.clockwork is not None and not child.fired_by_workers
        )
        return min(moments, default=None)


def decide_rows(view: DatabaseView, invalid: Sequence[Child], living: frozenset[Uid], situation: Situation) -> Plan:
    """Decide for every resource of a database, and for records that nobody stands behind any more.

    Of the resources that name one row only the first decides anything about it:
    the oldest, then the one with the lowest UID.
    """
    contests = _contests(view)
    children: list[ChildPlan] = []
    for rivals in contests.values():
        first, *others = sorted(rivals, key=lambda child: child.identity.precedence)
        children.append(decide_child(first, situation))
        children.extend(decide_loser(other, first) for other in others)
    children.extend(_decide_invalid(invalid, situation))
    releases = tuple(
        RowRemoval(how=Remove.KEEP, kind=owned.kind, name=owned.name, row_id="", uid=owned.uid)
        for key, owned in situation.observed.owned.items()
        if key not in contests and abandoned(owned, situation.census, living)
    )
    return Plan(children=tuple(children), releases=releases)


def _contests(view: DatabaseView) -> Mapping[RowKey, list[Child]]:
    """The resources by the row that they name; what is deleted and owes nothing more does not take part."""
    contests: dict[RowKey, list[Child]] = defaultdict(list)
    for child in view.children:
        if child.identity.deleting_since is None or FINALIZER in child.identity.finalizers:
            contests[row_key(child)].append(child)
    return contests


def _decide_invalid(invalid: Sequence[Child], situation: Situation) -> Iterator[ChildPlan]:
    """Say goodbye for resources whose spec cannot be read any more: their records tell which rows are theirs.

    What their policy was is unknown, so the default holds.
    """
    leaving = {
        child.identity.uid: child
        for child in invalid
        if child.identity.deleting_since is not None and FINALIZER in child.identity.finalizers
    }
    for owned in situation.observed.owned.values() if leaving else ():
        child = leaving.get(owned.uid)
        if child is not None:
            yield decide_farewell(child, owned.key, _default_removal(owned), situation)


def _default_removal(owned: Owned) -> Remove:
    return Remove.PAUSE if owned.kind is Kind.SCHEDULE else Remove.KEEP
