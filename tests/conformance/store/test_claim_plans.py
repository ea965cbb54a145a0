"""A claim looks at what it takes, however much waits beside it."""

from __future__ import annotations

import psycopg
import pytest

from dbos.core.ids import OwnerToken
from dbos.core.limits import QueueLimits
from dbos.store.catalog import Catalog
from dbos.store.dequeue import ClaimRequest, claim_statement
from support.query_plans import nodes
from support.store_records import a_claimant

LIMIT = 100


@pytest.mark.parametrize("version", [None, "v1"], ids=["any version", "this version"])
@pytest.mark.parametrize("waiting", [1_000, 8_000])
def test_a_claim_looks_at_no_more_rows_than_it_takes(database_url: str, waiting: int, version: str | None) -> None:
    request = ClaimRequest(queue="q", limits=QueueLimits(), owner=OwnerToken("o"), limit=LIMIT, skipped=[])
    statement = claim_statement(request, a_claimant(version="v1"), now_ms=1)
    text = Catalog.load("dbos.store.sql", schema="dbos").query(statement.name)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO dbos.workflow_status (workflow_uuid, status, queue_name, application_version, created_at)"
            " SELECT 'w' || n, 'ENQUEUED', 'q', %s, n FROM generate_series(1, %s) AS n",
            (version, waiting),
        )
        connection.execute(
            "INSERT INTO dbos.workflow_input (workflow_uuid, inputs)"
            " SELECT workflow_uuid, '[]' FROM dbos.workflow_status"
        )
        connection.execute(
            "INSERT INTO dbos.operation_outputs (workflow_uuid, function_id, function_name)"
            " SELECT 'ended' || n, 1, 'step' FROM generate_series(1, 30000) AS n"
        )
        connection.execute("VACUUM ANALYZE dbos.workflow_status, dbos.workflow_input, dbos.operation_outputs")
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {text if isinstance(text, str) else text.decode()}".encode()
        row = connection.execute(explain, statement.parameters).fetchone()
    assert row is not None
    for relation, each in (("workflow_input", 1), ("operation_outputs", 0)):
        looks = [node for node in nodes(row[0][0]["Plan"]) if node.get("Relation Name") == relation]
        assert {(node["Actual Loops"], node["Actual Rows"]) for node in looks} == {(LIMIT, each)}
    (candidates,) = [node for node in nodes(row[0][0]["Plan"]) if node["Node Type"] == "LockRows"]
    assert {node["Actual Rows"] for node in nodes(candidates)} == {LIMIT}
