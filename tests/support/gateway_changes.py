"""Changes as decisions make them, with the least that a test must say."""

from __future__ import annotations

from datetime import UTC, datetime

from dbos_operator.decide.changes import Fire, RowWrite, SeeExecutor, Write
from dbos_operator.decide.rows import Columns, ExecutorRecord, Owned
from dbos_operator.resources.identity import ClusterId, Kind, TargetRef, Uid
from dbos_operator.resources.selector import Selector

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
OF_WORKER = Selector.of_labels({"app": "worker"})
CLUSTER = ClusterId("c1")
QUEUE_COLUMNS: Columns = {
    "concurrency": None,
    "worker_concurrency": None,
    "rate_limit_max": None,
    "rate_limit_period_sec": None,
    "polling_interval_sec": 1.0,
}
SCHEDULE_COLUMNS: Columns = {
    "workflow_name": "w",
    "workflow_class_name": None,
    "schedule": "* * * * * *",
    "status": "ACTIVE",
    "context": "gASVBA==",
    "cron_timezone": "UTC",
    "queue_name": None,
}


def a_record(kind: Kind, name: str, uid: str = "u1", **applied: object) -> Owned:
    """The record of a row, as its owner writes it."""
    return Owned(
        kind=kind,
        name=name,
        cluster_id=CLUSTER,
        uid=Uid(uid),
        namespace="team",
        resource=name,
        applied=applied,  # type: ignore[arg-type]
    )


def insert_queue(name: str, uid: str = "u1", **columns: object) -> RowWrite:
    """A new row of `queues`."""
    return RowWrite(
        write=Write.INSERT,
        row_id=f"k8s:c1:{uid}",
        columns={**QUEUE_COLUMNS, **columns},  # type: ignore[dict-item]
        seen={},
        record=a_record(Kind.QUEUE, name, uid, **columns),
        record_seen=None,
    )


def insert_schedule(name: str, uid: str = "s1", **columns: object) -> RowWrite:
    """A new row of `workflow_schedules`."""
    return RowWrite(
        write=Write.INSERT,
        row_id=f"k8s:c1:{uid}",
        columns={**SCHEDULE_COLUMNS, **columns},  # type: ignore[dict-item]
        seen={},
        record=a_record(Kind.SCHEDULE, name, uid),
        record_seen=None,
    )


def update_queue(name: str, seen: Columns, change: Columns, *, uid: str = "u1", row_id: str = "k8s:c1:u1") -> RowWrite:
    """A change of a row whose record is of that UID already."""
    return RowWrite(
        write=Write.UPDATE,
        row_id=row_id,
        columns=change,
        seen=seen,
        record=a_record(Kind.QUEUE, name, uid, **change),
        record_seen=Uid(uid),
    )


def a_fire(name: str, moment: datetime = NOW, *, uid: str = "s1", other_ids: tuple[str, ...] = ()) -> Fire:
    """A due run of a schedule that `insert_schedule` made."""
    return Fire(
        workflow_id=f"sched-{name}-{moment.isoformat()}",
        other_ids=other_ids,
        uid=Uid(uid),
        schedule_name=name,
        schedule_id=f"k8s:c1:{uid}",
        due=moment,
        workflow_name="w",
        class_name=None,
        queue_name="q",
        application_name=None,
        inputs="gASV",
    )


def see_executor(
    name: str, *, pod_uid: str = "p1", namespace: str = "team", selector: Selector = OF_WORKER
) -> SeeExecutor:
    """A pod of the target `worker`."""
    return SeeExecutor(
        ExecutorRecord(
            executor_id=name,
            cluster_id=CLUSTER,
            namespace=namespace,
            pod_uid=pod_uid,
            target=TargetRef(namespace, "Deployment", "worker"),
            selector=selector,
            seen_at=NOW,
        )
    )
