"""What the database tells of a run, and rows made in bulk: the same for both packages, which share the schema."""

from __future__ import annotations

import time

import psycopg

from benchmarks.workload.application import QUEUE

_WAITING = "SELECT count(*) FROM dbos.workflow_status WHERE queue_name = %s AND status IN ('ENQUEUED', 'PENDING')"
_COPIES = """
INSERT INTO dbos.{table} SELECT (copy).* FROM (
    SELECT jsonb_populate_record(original, jsonb_build_object('workflow_uuid', 'copy-' || number)) AS copy
      FROM dbos.{table} AS original, generate_series(2, %s) AS number
     WHERE workflow_uuid = %s OFFSET 0) AS copies
"""
_LOOK_SECONDS = 0.05


def copy_workflow(url: str, workflow_id: str, count: int) -> None:
    """Make `count` workflows out of one that waits, and tell the planner, as a server that runs for long knows it."""
    with psycopg.connect(url) as connection:
        for table in ("workflow_status", "workflow_input"):
            connection.execute(_COPIES.format(table=table).encode(), (count, workflow_id))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE dbos.workflow_status, dbos.workflow_input")


def seconds_until_ended(url: str, *, since: str) -> float:
    """Wait until the queue is empty: seconds from the first `since` to the last outcome, by the database's columns."""
    elapsed = f"SELECT max(completed_at) - min({since}) FROM dbos.workflow_status WHERE queue_name <> 'warm-up'"
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(_WAITING, (QUEUE,)).fetchone() != (0,):
            time.sleep(_LOOK_SECONDS)
        (milliseconds,) = connection.execute(elapsed.encode()).fetchone() or (0,)
    return float(milliseconds) / 1000
