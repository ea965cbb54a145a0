"""A status of each kind that says everything a status can say."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from dbos_operator.reasons import Reason
from dbos_operator.resources.conditions import ready
from dbos_operator.resources.status import (
    DatabaseStatus,
    FiredBy,
    QueueDepth,
    QueueStatus,
    ScalingStatus,
    ScheduleStatus,
)

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
READY = ready(Reason.RECONCILED, "in sync")

DATABASE_STATUS = DatabaseStatus(
    generation=1, conditions=READY, schema_version=125, application_version="v1", queues=2, schedules=3
)
QUEUE_STATUS = QueueStatus(
    generation=1,
    conditions=READY,
    queue_name="emails",
    depth=QueueDepth(enqueued=1234, delayed=5, running=3, oldest_enqueued=NOW),
    scaling=ScalingStatus(
        replicas=2, wanted=4, demand=1237, useful=40, limited_by="maxReplicas 4", message="as told", hold_until=NOW
    ),
)
SCHEDULE_STATUS = ScheduleStatus(
    generation=1,
    conditions=READY,
    schedule_name="nightly",
    next_runs=[datetime(2026, 11, 22, 2, tzinfo=ZoneInfo("Europe/Berlin"))],
    last_fired=NOW,
    last_workflow_id="sched-nightly-2026-11-21T02:00:00+01:00",
    fired_by=FiredBy.OPERATOR,
)
