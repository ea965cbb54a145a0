"""Carry out a plan: finalizers first, then one transaction, then the finalizers that may go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbos_operator.cluster.protocol import Cluster
from dbos_operator.decide.changes import Applied, Change, Fire, Recover
from dbos_operator.decide.child import ChildPlan
from dbos_operator.decide.plan import Plan
from dbos_operator.errors import ConflictError, NotFoundError, OperatorError
from dbos_operator.loop.access import DatabaseAccess
from dbos_operator.resources.identity import Identity, Uid

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a plan."""

    children: Mapping[Uid, Applied] = field(default_factory=dict)
    """Of each resource whose row was to change."""
    refused: Mapping[Uid, str] = field(default_factory=dict)
    """Resources whose finalizer could not be set, so that nothing else was done for them."""
    fired: tuple[Fire, ...] = ()
    recovered: Mapping[str, int] = field(default_factory=dict)
    """Workflows by executor."""
    unfired: frozenset[Uid] = frozenset()
    """Schedules with a due run that could not be written: it is due again at the next pass."""
    rows: int = 0


async def apply_plan(
    plan: Plan, others: Sequence[Change], access: DatabaseAccess, cluster: Cluster, limit: asyncio.Semaphore
) -> Outcome:
    """Make the changes of every resource and the `others`, which belong to none.

    A row is written only once its object carries the finalizer that it needs,
    and a finalizer goes only once the row is as the policy wants it.
    """
    refused = await _set_finalizers([(child, child.finalizers) for child in plan.children], cluster, limit)
    changing = [child for child in plan.children if child.change is not None and _uid(child) not in refused]
    fires = [fire for child in plan.children if _uid(child) not in refused for fire in child.fires]
    changes: list[Change] = [child.change for child in changing if child.change is not None]
    changes += [*plan.releases, *others, *fires]
    results = await access.apply(changes)
    applied = {_uid(child): result for child, result in zip(changing, results, strict=False)}
    done = [
        (child, child.finalizers_after)
        for child in plan.children
        if child.change is None or (_uid(child) in applied and applied[_uid(child)].took_effect)
    ]
    await _set_finalizers(done, cluster, limit)
    pairs = list(zip(changes, results, strict=True))
    return Outcome(
        children=applied,
        refused=refused,
        fired=tuple(change for change, result in pairs if isinstance(change, Fire) and result.took_effect),
        recovered={
            change.executor_id: result.rows
            for change, result in pairs
            if isinstance(change, Recover) and result.took_effect
        },
        unfired=frozenset(change.uid for change, result in pairs if isinstance(change, Fire) and result.error)
        | frozenset(refused),
        rows=sum(result.rows for result in results),
    )


async def set_finalizers(identity: Identity, finalizers: Sequence[str], cluster: Cluster) -> str | None:
    """Replace the finalizers of an object; what went wrong, or None. An object that is gone needs none."""
    try:
        await cluster.set_finalizers(identity, finalizers)
    except NotFoundError:
        return None
    except ConflictError:
        return "the object changed meanwhile"
    except OperatorError as error:
        logger.warning("finalizers not set", extra={"object": str(identity.key), "error": str(error)})
        return str(error)
    return None


async def _set_finalizers(
    wanted: Sequence[tuple[ChildPlan, tuple[str, ...] | None]], cluster: Cluster, limit: asyncio.Semaphore
) -> dict[Uid, str]:
    async def set_one(child: ChildPlan, finalizers: tuple[str, ...]) -> tuple[Uid, str | None]:
        async with limit:
            return _uid(child), await set_finalizers(child.resource.identity, finalizers, cluster)

    due = [set_one(child, finalizers) for child, finalizers in wanted if finalizers is not None]
    return {uid: problem for uid, problem in await asyncio.gather(*due) if problem is not None}


def _uid(child: ChildPlan) -> Uid:
    return child.resource.identity.uid
