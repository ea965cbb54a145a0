"""A database that has been in use for long: many workflows that ended, and a few that wait."""

from __future__ import annotations

import psycopg

from benchmarks.workload.application import NOOP, new_client
from benchmarks.workload.rows import copy_workflow

_ENDED = """
INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, application_version, executor_id,
                                  created_at, updated_at, started_at_epoch_ms, completed_at, recovery_attempts)
SELECT 'ended-' || number, 'SUCCESS', 'noop', 'history', '1', 'local', at, at + 1500, at + 500, at + 1500, 1
  FROM (SELECT number, (EXTRACT(epoch FROM now()) * 1000)::bigint - number * 1000 AS at
          FROM generate_series(1, %s) AS number) AS moments
"""


def fill_history(url: str, *, ended: int, waiting: int) -> None:
    """Add workflows that ended, one for each second of the past, and some that wait in the queue of the workload."""
    with psycopg.connect(url) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(_ENDED, (ended,))
    client = new_client(url)
    copy_workflow(url, client.enqueue(NOOP, 1).workflow_id, waiting)
    client.destroy()
