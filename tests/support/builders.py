"""Values of the operator with the least that a test must say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dbos_operator.decide.child import Situation
from dbos_operator.decide.ownership import Census
from dbos_operator.decide.rows import ExecutorRecord, ObservedRows, Owned, Row
from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import ClusterId, Identity, Kind, ObjectKey, TargetRef, Uid
from dbos_operator.resources.resource import Problem, Resource
from dbos_operator.resources.selector import Selector
from dbos_operator.resources.specs import DatabaseSpec, QueueSpec, ScheduleSpec

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
CLUSTER = ClusterId("c1")
CENSUS = Census(cluster_id=CLUSTER)
DATABASE = DatabaseSpec(secret_name="db", secret_key="url")
WORKER = TargetRef("team", "Deployment", "worker")


def an_identity(kind: Kind, name: str, *, uid: str | None = None, age: int = 0, **fields: Any) -> Identity:
    """An object of the namespace `team`, `age` seconds older than NOW."""
    return Identity(
        kind=kind,
        key=ObjectKey(fields.pop("namespace", "team"), name),
        uid=Uid(uid or f"uid-of-{name}"),
        generation=1,
        resource_version="1",
        created_at=NOW - timedelta(seconds=age),
        **fields,
    )


def a_database(name: str = "default", **fields: Any) -> Resource[DatabaseSpec]:
    """A DBOSDatabase that can be used."""
    return Resource(identity=an_identity(Kind.DATABASE, name, **fields), spec=DATABASE)


def a_queue(name: str = "emails", *, spec: dict[str, Any] | None = None, **fields: Any) -> Resource[QueueSpec]:
    """A DBOSQueue."""
    values = {"database": None, "queue_name": name, **(spec or {})}
    return Resource(identity=an_identity(Kind.QUEUE, name, **fields), spec=QueueSpec(**values))


def a_schedule(name: str = "nightly", *, spec: dict[str, Any] | None = None, **fields: Any) -> Resource[ScheduleSpec]:
    """A DBOSSchedule of every minute."""
    values = {"database": None, "schedule_name": name, "workflow_name": "w", "schedule": "* * * * *", **(spec or {})}
    return Resource(identity=an_identity(Kind.SCHEDULE, name, **fields), spec=ScheduleSpec(**values))


def broken(resource: Resource[Any]) -> Resource[Any]:
    """The same object with a spec that cannot be read."""
    return replace(resource, spec=None, problem=Problem(Reason.INVALID_SPEC, "spec.x: wrong"))


def a_queue_row(
    name: str = "emails", *, row_id: str = "some-id", application: str | None = None, **columns: Any
) -> Row:
    """A row of `queues` without limits."""
    found = {
        "concurrency": None,
        "worker_concurrency": None,
        "rate_limit_max": None,
        "rate_limit_period_sec": None,
        "polling_interval_sec": 1.0,
        **columns,
    }
    return Row(kind=Kind.QUEUE, name=name, row_id=row_id, application_name=application, columns=found)


def a_schedule_row(
    name: str = "nightly", *, row_id: str = "some-id", application: str | None = None, **columns: Any
) -> Row:
    """A row of `workflow_schedules`, every minute, that an application made."""
    found = {
        "workflow_name": "w",
        "workflow_class_name": None,
        "schedule": "* * * * *",
        "status": "ACTIVE",
        "context": "opaque",
        "cron_timezone": None,
        "queue_name": None,
        **columns,
    }
    return Row(kind=Kind.SCHEDULE, name=name, row_id=row_id, application_name=application, columns=found)


def a_record(kind: Kind, name: str, uid: str, *, applied: dict[str, Any] | None = None, **fields: Any) -> Owned:
    """The operator's record of a row."""
    values = {"cluster_id": CLUSTER, "namespace": "team", "resource": name, **fields}
    return Owned(kind=kind, name=name, uid=Uid(uid), applied=applied or {}, **values)


def an_executor(name: str, **fields: Any) -> ExecutorRecord:
    """A recorded pod of the target WORKER."""
    values: dict[str, Any] = {
        "cluster_id": CLUSTER,
        "namespace": "team",
        "pod_uid": f"uid-of-{name}",
        "target": WORKER,
        "selector": Selector.of_labels({"app": "worker"}),
        "template": "t1",
        "seen_at": NOW,
        **fields,
    }
    return ExecutorRecord(executor_id=name, **values)


def a_situation(*rows: Row | Owned, **fields: Any) -> Situation:
    """What a pass looks at."""
    observed = ObservedRows(
        rows={found.key: found for found in rows if isinstance(found, Row)},
        owned={found.key: found for found in rows if isinstance(found, Owned)},
    )
    values: dict[str, Any] = {"database": DATABASE, "census": CENSUS, "now": NOW, "clockworks": {}, **fields}
    return Situation(observed=observed, **values)
