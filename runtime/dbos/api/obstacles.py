"""Why workflows wait that nobody takes: told with their statuses."""

from __future__ import annotations

from collections.abc import Sequence

from dbos._sys_db import WorkflowStatus
from dbos.core.dispatch import RESERVED_PREFIX, Undispatchable, dispatch_obstacle
from dbos.store.database import SystemDatabase
from dbos.store.depths import Facts
from dbos.store.filters import WAITING


def note_obstacles(database: SystemDatabase, statuses: Sequence[WorkflowStatus]) -> None:
    """Give each status that waits on a queue what keeps it from being taken, if anything is known to."""
    waiting = [each for each in statuses if each.status in WAITING and each.queue_name is not None]
    if not waiting:
        return
    facts = database.load_facts({str(each.queue_name) for each in waiting})
    for each in waiting:
        obstacle = _obstacle(each, facts)
        if obstacle is not None:
            each.undispatchable = obstacle.value


def _obstacle(status: WorkflowStatus, facts: Facts) -> Undispatchable | None:
    name, application = str(status.queue_name), status.application_name
    queue = facts.queues.get(name)
    served = name.startswith(RESERVED_PREFIX) or (
        queue is not None and (None in {queue.application, application} or queue.application == application)
    )
    key = "\x1f".join(part for part in (status.name, status.class_name, status.config_name) if part)
    return dispatch_obstacle(
        served=served,
        partitioned=queue is not None and queue.partitioned,
        has_key=status.queue_partition_key is not None,
        refused=any(key == function and application in {None, owner} for owner, function in facts.refused),
    )
