"""Changes as statements: many changes, few statements, one transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from dbos.core.ids import INTERNAL_QUEUE
from dbos.store.dialects.postgres import PostgresConnection
from dbos.store.operation import Row as DatabaseRow
from dbos.store.operation import Statement
from dbos_operator.decide.changes import (
    Applied,
    Change,
    Fire,
    ForgetExecutor,
    LoseExecutor,
    Recover,
    Remove,
    RowRemoval,
    RowWrite,
    SeeExecutor,
    Write,
)
from dbos_operator.decide.rows import Owned
from dbos_operator.gateway.observing import to_ms
from dbos_operator.gateway.protocol import GatewayRequest
from dbos_operator.resources.identity import Kind

MOST_RECOVERED = 1000
"""Workflows that one pass makes runnable again; the next pass takes the others."""

_INSERT = {Kind.QUEUE: "insert_queues", Kind.SCHEDULE: "insert_schedules"}
_UPDATE = {Kind.QUEUE: "update_queues", Kind.SCHEDULE: "update_schedules"}
_REMOVE = {
    (Remove.DELETE, Kind.QUEUE): "delete_queues",
    (Remove.DELETE, Kind.SCHEDULE): "delete_schedules",
    (Remove.PAUSE, Kind.SCHEDULE): "pause_schedules",
}


@dataclass(slots=True)
class Outcome:
    """What the statements of one transaction changed."""

    rows: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """By the position of the change."""
    woken: set[str] = field(default_factory=set)
    """Queues with new work."""

    def results(self, count: int) -> list[Applied]:
        """One result for each change, in order."""
        return [Applied(self.rows.get(position, 0)) for position in range(count)]


class Applier:
    """Makes changes on one connection, inside a transaction that the caller opened."""

    def __init__(self, connection: PostgresConnection, request: GatewayRequest) -> None:
        self._connection = connection
        self._request = request

    def apply(self, changes: Sequence[Change]) -> Outcome:
        """Make them all; whatever a statement raises means that none was made."""
        outcome = Outcome()
        self._write_rows(_positions(changes, RowWrite), outcome)
        self._remove_rows(_positions(changes, RowRemoval), outcome)
        self._write_executors(changes, outcome)
        self._fire(_positions(changes, Fire), outcome)
        self._recover(_positions(changes, Recover), outcome)
        return outcome

    def _execute(self, name: str, rows: Iterable[Mapping[str, Any]], **parameters: Any) -> list[DatabaseRow]:
        values = {"rows": json.dumps(list(rows)), "system_schema": self._request.schema, **parameters}
        return self._connection.execute(Statement(name, values))

    def _write_rows(self, writes: Mapping[int, RowWrite], outcome: Outcome) -> None:
        """New rows first, then records of whatever is there, then what changes in rows whose record is ours.

        A row that somebody else inserted meanwhile gets no record: the next look finds out whose it is.
        """
        ready = {key: write for key, write in writes.items() if write.write is not Write.INSERT}
        for kind, statement in _INSERT.items():
            new = {key: w for key, w in writes.items() if w.write is Write.INSERT and w.record.kind is kind}
            if new:
                found = self._execute(statement, (_new_row(write) for write in new.values()))
                names = {row["name"] for row in found}
                ready |= {key: write for key, write in new.items() if write.record.name in names}
        recorded = self._write_records(ready.values())
        ready = {key: w for key, w in ready.items() if w.record.key in recorded}
        outcome.rows.update({key: 1 for key, write in ready.items() if write.write is not Write.UPDATE})
        for kind, statement in _UPDATE.items():
            changed = {key: w for key, w in ready.items() if w.write is Write.UPDATE and w.record.kind is kind}
            if changed:
                found = self._execute(statement, (_changed_row(write) for write in changed.values()))
                names = {row["name"] for row in found}
                outcome.rows.update({key: 1 for key, write in changed.items() if write.record.name in names})

    def _write_records(self, writes: Iterable[RowWrite]) -> set[tuple[Kind, str]]:
        new, old = [], []
        for write in writes:
            if write.record_seen is None:
                new.append(_record(write.record))
            else:
                old.append({**_record(write.record), "uid_seen": write.record_seen})
        found = self._execute("insert_records", new) if new else []
        found += self._execute("update_records", old) if old else []
        return {(Kind(row["kind"]), row["name"]) for row in found}

    def _remove_rows(self, removals: Mapping[int, RowRemoval], outcome: Outcome) -> None:
        done: dict[int, RowRemoval] = {key: gone for key, gone in removals.items() if gone.how is Remove.KEEP}
        for (how, kind), statement in _REMOVE.items():
            leaving = {key: gone for key, gone in removals.items() if gone.how is how and gone.kind is kind}
            if leaving:
                found = self._execute(statement, (_gone_row(gone) for gone in leaving.values()))
                names = {row["name"] for row in found}
                taken = {key: gone for key, gone in leaving.items() if gone.name in names}
                outcome.rows.update(dict.fromkeys(taken, 1))
                done |= taken
        if done:
            found = self._execute("delete_records", (_gone_row(gone) for gone in done.values()))
            released = {(Kind(row["kind"]), row["name"]) for row in found}
            outcome.rows.update({key: 1 for key, gone in done.items() if (gone.kind, gone.name) in released})

    def _write_executors(self, changes: Sequence[Change], outcome: Outcome) -> None:
        seen = {key: _executor(change) for key, change in _positions(changes, SeeExecutor).items()}
        lost = {key: _lost(change) for key, change in _positions(changes, LoseExecutor).items()}
        gone = {key: _gone_executor(change) for key, change in _positions(changes, ForgetExecutor).items()}
        for statement, rows in (("see_executors", seen), ("lose_executors", lost), ("forget_executors", gone)):
            if rows:
                found = {(row["namespace"], row["executor_id"]) for row in self._execute(statement, rows.values())}
                hit = (key for key, row in rows.items() if (row["namespace"], row["executor_id"]) in found)
                outcome.rows.update(dict.fromkeys(hit, 1))

    def _fire(self, fires: Mapping[int, Fire], outcome: Outcome) -> None:
        if not fires:
            return
        found = self._execute("fire_runs", (_run(fire) for fire in fires.values()))
        inserted = {row["workflow_id"] for row in found}
        outcome.rows.update({key: 1 for key, fire in fires.items() if fire.workflow_id in inserted})
        outcome.woken.update(row["queue_name"] for row in found)

    def _recover(self, recoveries: Mapping[int, Recover], outcome: Outcome) -> None:
        if not recoveries:
            return
        found = self._execute(
            "recover_workflows",
            (),
            executors=[recovery.executor_id for recovery in recoveries.values()],
            held_ms=max(recovery.grace for recovery in recoveries.values()) // timedelta(milliseconds=1),
            application=self._request.application_name,
            internal_queue=INTERNAL_QUEUE,
            most=MOST_RECOVERED,
        )
        for key, recovery in recoveries.items():
            outcome.rows[key] = sum(1 for row in found if row["executor_id"] == recovery.executor_id)
        outcome.woken.update(row["queue_name"] for row in found)


def _positions(changes: Sequence[Change], kind: type[Any]) -> dict[int, Any]:
    return {position: change for position, change in enumerate(changes) if isinstance(change, kind)}


def _new_row(write: RowWrite) -> dict[str, Any]:
    return {
        **write.columns,
        "row_id": write.row_id,
        "name": write.record.name,
        "application_name": write.application_name,
    }


def _changed_row(write: RowWrite) -> dict[str, Any]:
    return {
        "name": write.record.name,
        "row_id": write.row_id,
        "uid": write.record.uid,
        "seen": dict(write.seen),
        "change": dict(write.columns),
        "application_name": write.application_name,
    }


def _gone_row(gone: RowRemoval) -> dict[str, Any]:
    return {"kind": gone.kind.value, "name": gone.name, "row_id": gone.row_id, "uid": gone.uid}


def _record(record: Owned) -> dict[str, Any]:
    return {
        "kind": record.kind.value,
        "name": record.name,
        "cluster_id": record.cluster_id,
        "uid": record.uid,
        "namespace": record.namespace,
        "resource": record.resource,
        "applied": dict(record.applied),
        "source": record.source,
        "previous": None if record.previous is None else dict(record.previous),
        "active_since_ms": to_ms(record.active_since),
        "zone_before": record.zone_before,
        "zone_changed_at_ms": to_ms(record.zone_changed_at),
    }


def _executor(seen: SeeExecutor) -> dict[str, Any]:
    record = seen.record
    return {
        "cluster_id": record.cluster_id,
        "namespace": record.namespace,
        "executor_id": record.executor_id,
        "pod_uid": record.pod_uid,
        "target_kind": record.target.kind,
        "target_name": record.target.name,
        "selector": record.selector.record(),
        "template": record.template,
        "version": record.version,
        "seen_at_ms": to_ms(record.seen_at),
    }


def _lost(lost: LoseExecutor) -> dict[str, Any]:
    return {
        "cluster_id": lost.cluster_id,
        "namespace": lost.namespace,
        "executor_id": lost.executor_id,
        "pod_uid": lost.pod_uid,
        "since_ms": to_ms(lost.since),
    }


def _gone_executor(gone: ForgetExecutor) -> dict[str, Any]:
    return {
        "cluster_id": gone.cluster_id,
        "namespace": gone.namespace,
        "executor_id": gone.executor_id,
        "pod_uid": gone.pod_uid,
    }


def _run(fire: Fire) -> dict[str, Any]:
    return {
        "workflow_id": fire.workflow_id,
        "other_ids": list(fire.other_ids),
        "uid": fire.uid,
        "schedule_name": fire.schedule_name,
        "schedule_id": fire.schedule_id,
        "due": fire.due.isoformat(),
        "due_ms": to_ms(fire.due),
        "workflow_name": fire.workflow_name,
        "class_name": fire.class_name,
        "queue_name": fire.queue_name,
        "application_name": fire.application_name,
        "inputs": fire.inputs,
    }
