"""Rows of the database as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dbos.store.operation import Row as DatabaseRow
from dbos.store.operation import Statement
from dbos_operator.decide.rows import Columns, ExecutorRecord, ObservedRows, Owned, Row, Running
from dbos_operator.gateway.protocol import GatewayRequest, Observation, ObserveRequest
from dbos_operator.resources.identity import ClusterId, Kind, TargetRef, Uid
from dbos_operator.resources.selector import read_selector
from dbos_operator.scaling.demand import QueueDemand

SOON_MS = 15_000
"""DELAYED rows count as demand when they are due within the time that a worker needs to start."""
LOOK_PAST = 20_000
"""How far a count looks past rows that the target cannot take, or as far as it counts."""
MOST_DELAYED = 10_000
MOST_RUNNING = 10_000

_QUEUE_COLUMNS = (
    "concurrency",
    "worker_concurrency",
    "rate_limit_max",
    "rate_limit_period_sec",
    "polling_interval_sec",
)
_SCHEDULE_COLUMNS = (
    "workflow_name",
    "workflow_class_name",
    "schedule",
    "status",
    "context",
    "cron_timezone",
    "queue_name",
)


def to_ms(moment: datetime | None) -> int | None:
    """Epoch milliseconds, as the operator's own columns hold them."""
    return None if moment is None else round(moment.timestamp() * 1000)


def from_ms(number: int | None) -> datetime | None:
    """The moment, in UTC."""
    return None if number is None else datetime.fromtimestamp(number / 1000, UTC)


def observe_statements(request: ObserveRequest, gateway: GatewayRequest) -> list[Statement]:
    """The three reads of a look."""
    wanted = [
        {"name": want.queue_name, "bound": want.bound, "version": want.version, "rate_limited": want.rate_limited}
        for want in request.wanted
    ]
    application = gateway.application_name
    return [
        Statement(
            "observe_rows",
            {
                "queues": list(request.queue_names),
                "schedules": list(request.schedule_names),
                "system_schema": gateway.schema,
                "application": application,
            },
        ),
        Statement(
            "observe_demand",
            {
                "wanted": json.dumps(wanted),
                "application": application,
                "soon_ms": SOON_MS,
                "look_past": LOOK_PAST,
                "most_delayed": MOST_DELAYED,
            },
        ),
        Statement("observe_running", {"application": application, "most_running": MOST_RUNNING}),
    ]


def parse_observation(answers: list[list[DatabaseRow]]) -> Observation:
    """The answers to the three reads as values."""
    found, demand, running = answers[0][0], answers[1], answers[2]
    rows = [_queue(entry) for entry in found["queues"]] + [_schedule(entry) for entry in found["schedules"]]
    owned = [_owned(entry) for entry in found["owned"]]
    observed = ObservedRows(
        rows={row.key: row for row in rows},
        owned={record.key: record for record in owned},
        executors=tuple(_executor(entry) for entry in found["executors"]),
        running=tuple(Running(row["executor_id"], row["application_version"], row["number"]) for row in running),
        latest_version=found["latest_version"],
        schema_version=found["schema_version"] or 0,
    )
    return Observation(rows=observed, demand={row["name"]: _demand(row) for row in demand})


def _queue(entry: Mapping[str, Any]) -> Row:
    return Row(
        kind=Kind.QUEUE,
        name=entry["name"],
        row_id=entry["queue_id"],
        application_name=entry["application_name"],
        columns={column: entry[column] for column in _QUEUE_COLUMNS},
    )


def _schedule(entry: Mapping[str, Any]) -> Row:
    return Row(
        kind=Kind.SCHEDULE,
        name=entry["schedule_name"],
        row_id=entry["schedule_id"],
        application_name=entry["application_name"],
        columns={column: entry[column] for column in _SCHEDULE_COLUMNS},
        last_fired_at=entry["last_fired_at"],
    )


def _owned(entry: Mapping[str, Any]) -> Owned:
    applied: Columns = entry["applied"]
    return Owned(
        kind=Kind(entry["kind"]),
        name=entry["name"],
        cluster_id=ClusterId(entry["cluster_id"]),
        uid=Uid(entry["uid"]),
        namespace=entry["namespace"],
        resource=entry["resource"],
        applied=applied,
        source=entry["source"],
        previous=entry["previous"],
        active_since=from_ms(entry["active_since_ms"]),
        zone_before=entry["zone_before"],
        zone_changed_at=from_ms(entry["zone_changed_at_ms"]),
    )


def _executor(entry: Mapping[str, Any]) -> ExecutorRecord:
    seen_at = from_ms(entry["seen_at_ms"])
    assert seen_at is not None, "the column is NOT NULL"
    return ExecutorRecord(
        executor_id=entry["executor_id"],
        cluster_id=ClusterId(entry["cluster_id"]),
        namespace=entry["namespace"],
        pod_uid=entry["pod_uid"],
        target=TargetRef(entry["namespace"], entry["target_kind"], entry["target_name"]),
        selector=read_selector(entry["selector"]),
        template=entry["template"],
        version=entry["version"],
        seen_at=seen_at,
        gone_since=from_ms(entry["gone_since_ms"]),
    )


def _demand(row: DatabaseRow) -> QueueDemand:
    takeable: list[tuple[str | None, int]] = row["takeable"] or []
    other: list[tuple[str | None, int]] = row["other"] or []
    delayed: list[tuple[str | None, int]] = row["delayed"] or []
    by_version: dict[str | None, int] = {}
    for version, number in (*takeable, *other, *delayed):
        by_version[version] = by_version.get(version, 0) + number
    oldest = [moment for moment in (row["oldest_takeable"], row["oldest_other"]) if moment is not None]
    counts = (_total(takeable), _total(other), row["running"])
    return QueueDemand(
        queue_name=row["name"],
        runnable=_total(takeable) + _total(other),
        running=row["running"],
        delayed_soon=_total(delayed),
        by_version=by_version,
        oldest_enqueued_ms=min(oldest, default=None),
        mean_duration_seconds=None if row["duration_ms"] is None else row["duration_ms"] / 1000,
        truncated=any(number >= row["bound"] for number in counts),
    )


def _total(counts: list[tuple[str | None, int]]) -> int:
    return sum(number for _, number in counts)
