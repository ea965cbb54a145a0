"""Which pods were seen, which are gone, and whose workflows may be made runnable again.

seen --not in the API any more--> gone --grace period--> recovered --a day--> forgotten
  ^                                 |
  +------seen again (same name)-----+
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dbos_operator.decide.changes import ForgetExecutor, LoseExecutor, Recover, SeeExecutor
from dbos_operator.decide.rows import ExecutorRecord, Running
from dbos_operator.resources.identity import ClusterId, TargetRef
from dbos_operator.resources.selector import Selector

FORGET_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PodSighting:
    """A pod as the API lists it."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """The pods of a target at this moment; `pods` is None when they could not be listed."""

    target: TargetRef
    selector: Selector
    template: str
    pods: tuple[PodSighting, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorDecision:
    """What to write about executors, and when to look again."""

    changes: tuple[SeeExecutor | LoseExecutor | ForgetExecutor | Recover, ...]
    next_due: datetime | None


def decide_executors(
    records: Sequence[ExecutorRecord],
    sightings: Mapping[TargetRef, Sighting],
    running: Sequence[Running],
    cluster_id: ClusterId,
    now: datetime,
    *,
    grace: timedelta | None,
) -> ExecutorDecision:
    """Decide what the pods of this moment mean for the records and for rows that are PENDING.

    Only a pod that this operator has recorded can be lost, and only a listing
    that succeeded can lose it. An executor ID that another cluster or namespace
    has recorded too, and that is not gone there, is left alone. `grace` is None
    when recovery is off.
    """
    ours = {(record.namespace, record.executor_id): record for record in records if record.cluster_id == cluster_id}
    versions = {row.executor_id: row.version for row in running if row.version is not None}
    seen = list(_seen(ours, sightings, versions, cluster_id, now))
    lost = [
        LoseExecutor(cluster_id, record.namespace, record.executor_id, record.pod_uid, now)
        for record in ours.values()
        if record.gone_since is None and _is_missing(record, sightings)
    ]
    busy = {row.executor_id for row in running if row.count > 0}
    gone = [record for record in ours.values() if record.gone_since is not None]
    forgotten = [
        ForgetExecutor(cluster_id, record.namespace, record.executor_id, record.pod_uid)
        for record in gone
        if record.executor_id not in busy and now - (record.gone_since or now) >= FORGET_AFTER
    ]
    if grace is None:
        return ExecutorDecision(changes=(*seen, *lost, *forgotten), next_due=None)
    elsewhere = _alive_elsewhere(records, {record.executor_id for record in gone})
    candidates = [
        record
        for record in gone
        if record.executor_id in busy and record.executor_id not in elsewhere and _is_missing(record, sightings)
    ]
    recovered = [
        Recover(record.executor_id, grace)
        for record in candidates
        if record.gone_since and now - record.gone_since >= grace
    ]
    waiting = [
        record.gone_since + grace
        for record in candidates
        if record.gone_since is not None and now - record.gone_since < grace
    ]
    waiting.extend(now + grace for loss in lost if loss.executor_id in busy)
    return ExecutorDecision(changes=(*seen, *lost, *forgotten, *recovered), next_due=min(waiting, default=None))


def targets_to_list(
    records: Iterable[ExecutorRecord], running: Iterable[Running], cluster_id: ClusterId
) -> dict[TargetRef, ExecutorRecord]:
    """The targets, each with a record that knows its selector, whose pods must be looked at.

    A target that no queue names any more, or that is deleted, may still have
    pods, and only a listing can tell that they are gone.
    """
    busy = {row.executor_id for row in running}
    return {
        record.target: record
        for record in records
        if record.cluster_id == cluster_id and (record.gone_since is None or record.executor_id in busy)
    }


def current_version(records: Iterable[ExecutorRecord], cluster_id: ClusterId, sighting: Sighting) -> str | None:
    """The application version that new pods of a target run, as its own pods have shown it.

    Pods of a template that is not known prove something only while they live.
    """
    alive = {pod.uid for pod in sighting.pods or ()}
    proofs = [
        record
        for record in records
        if record.cluster_id == cluster_id
        and record.target == sighting.target
        and record.version is not None
        and record.template == sighting.template
        and (sighting.template or record.pod_uid in alive)
    ]
    newest = max(proofs, key=lambda record: (record.seen_at, record.executor_id), default=None)
    return newest.version if newest is not None else None


def _seen(
    ours: Mapping[tuple[str, str], ExecutorRecord],
    sightings: Mapping[TargetRef, Sighting],
    versions: Mapping[str, str],
    cluster_id: ClusterId,
    now: datetime,
) -> Iterable[SeeExecutor]:
    for sighting in sightings.values():
        for pod in sighting.pods or ():
            before = ours.get((sighting.target.namespace, pod.name))
            same = before is not None and before.pod_uid == pod.uid
            fresh = ExecutorRecord(
                executor_id=pod.name,
                cluster_id=cluster_id,
                namespace=sighting.target.namespace,
                pod_uid=pod.uid,
                target=sighting.target,
                selector=sighting.selector,
                template=sighting.template,
                seen_at=now,
            )
            # What a new pod runs is unknown until the rows that the one before left are gone.
            record = fresh
            if before is not None and same:
                record = replace(before, gone_since=None, selector=sighting.selector)
            if same and pod.name in versions:
                record = replace(record, version=versions[pod.name])
            if record != before:
                yield SeeExecutor(record)


def _is_missing(record: ExecutorRecord, sightings: Mapping[TargetRef, Sighting]) -> bool:
    sighting = sightings.get(record.target)
    if sighting is None or sighting.pods is None:
        return False
    return all(pod.name != record.executor_id for pod in sighting.pods)


def _alive_elsewhere(records: Sequence[ExecutorRecord], names: set[str]) -> set[str]:
    holders: dict[str, list[ExecutorRecord]] = defaultdict(list)
    for record in records:
        if record.executor_id in names:
            holders[record.executor_id].append(record)
    return {name for name, found in holders.items() if any(record.gone_since is None for record in found)}
