"""A list of what waits, or failed, looks at what it lists, however long the history beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from dbos.store.filters import WorkflowFilter
from support.query_plans import nodes
from support.store_records import opened

WAITING = ("ENQUEUED", "PENDING", "DELAYED")
HISTORY, EACH = 20_000, 20


@pytest.mark.parametrize(
    ("statuses", "queues", "limit", "found"),
    [
        (WAITING, ["q"], None, 3 * EACH),
        (WAITING, None, None, 3 * EACH),
        (WAITING, ["q"], 7, 7),
        (["ENQUEUED"], ["q"], None, EACH),
        (["DELAYED"], None, None, EACH),
        (["ERROR"], None, 7, 7),
        (["ERROR", "PENDING"], None, 7, 7),
    ],
)
def test_a_list_by_status_looks_at_few_rows_beside_a_long_history(
    database_url: str, statuses: Sequence[str], queues: Sequence[str] | None, limit: int | None, found: int
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        fill = (
            "INSERT INTO dbos.workflow_status (workflow_uuid, status, queue_name, created_at)"
            " SELECT %(status)s || n, %(status)s, 'q', n FROM generate_series(1, %(count)s) AS n"
        )
        for status in (*WAITING, "ERROR"):
            connection.execute(fill, {"status": status, "count": EACH})
        connection.execute(fill, {"status": "SUCCESS", "count": HISTORY})
        connection.execute("VACUUM ANALYZE dbos.workflow_status")
    wanted = WorkflowFilter(status=statuses, queue_name=queues, limit=limit, newest_first=True)
    with opened(database_url) as store:
        sent: list[tuple[Any, ...]] = []
        event.listen(store.engine, "before_cursor_execute", lambda *arguments: sent.append(arguments[2:4]))
        assert len(store.list_workflows(wanted, load_input=True, load_output=True)) == found
        (text, parameters) = sent[-1]
        with store.engine.connect() as pooled:
            cursor = pooled.connection.cursor()
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", parameters)
            ((plan,),) = cursor.fetchall()
    looked_at = [
        node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
        for node in nodes(plan[0]["Plan"])
        if node.get("Relation Name") == "workflow_status"
    ]
    assert sum(looked_at) <= 2 * 3 * EACH  # each once by its index, and once for its columns
