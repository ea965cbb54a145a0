"""Filtered lists of workflows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from dbos.store.database import SystemDatabase
from dbos.store.filters import WorkflowFilter
from support.postgres import PostgresServer
from support.store_records import a_running_workflow, a_workflow, an_outcome, opened, writing


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with seven workflows that differ in one thing each; every test reads it, none writes."""
    with postgres_server.database() as made, opened(made) as store, writing(store) as writer:
        for record in (
            a_workflow("plain"),
            a_workflow("named", name="other"),
            a_workflow("queued", queue_name="other", application_version="v2"),
            a_workflow("theirs", application_name="shop"),
            a_workflow("unclaimed", application_name=None),
            a_running_workflow("100%", executor_id="pod", authenticated_user="eve"),
            a_running_workflow("ended"),
            a_workflow("legacy", application_name="old"),
        ):
            writer.write(record)
        writer.write(an_outcome("ended", output="o"))
        with psycopg.connect(made) as connection:
            connection.execute(
                "UPDATE dbos.workflow_status w SET created_at = 10 * o.n FROM unnest(%s::text[]) WITH ORDINALITY"
                " AS o(id, n) WHERE o.id = w.workflow_uuid",
                [["plain", "named", "queued", "theirs", "unclaimed", "100%", "ended", "legacy"]],
            )
            connection.execute(
                "UPDATE dbos.workflow_status SET inputs = 'old in', output = 'old out', error = 'old error'"
                " WHERE workflow_uuid IN ('legacy', 'ended')"
            )
            connection.execute("DELETE FROM dbos.workflow_input WHERE workflow_uuid = 'legacy'")
        yield made


@pytest.fixture(scope="module")
def database(url: str) -> Iterator[SystemDatabase]:
    """The system database with those workflows."""
    with opened(url) as store:
        yield store


def _list(database: SystemDatabase, **fields: Any) -> str:
    wanted = WorkflowFilter(**fields)
    rows = database.list_workflows(wanted, load_input=False, load_output=False)
    return " ".join(row["workflow_uuid"] for row in rows)


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({}, "plain named queued theirs unclaimed 100% ended legacy"),
        ({"applications": ["orders"]}, "plain named queued unclaimed 100% ended"),
        ({"name": ["other"]}, "named"),
        ({"queue_name": ["other", "none"]}, "queued"),
        ({"app_version": ["v2"]}, "queued"),
        ({"status": ["SUCCESS"]}, "ended"),
        ({"status": []}, ""),
        ({"executor_id": ["pod"]}, "100%"),
        ({"user": ["eve"]}, "100%"),
        ({"workflow_id_prefix": ["100%"]}, "100%"),
        ({"workflow_id_prefix": ["1%"]}, ""),
        ({"workflow_id_prefix": []}, ""),
        ({"workflow_id_prefix": ["p", "q"]}, "plain queued"),
        ({"queued_only": True}, "plain named queued theirs unclaimed legacy"),
        ({"created_from_ms": 50}, "unclaimed 100% ended legacy"),
        ({"created_to_ms": 20}, "plain named"),
        ({"created_from_ms": 20, "created_to_ms": 30}, "named queued"),
        ({"limit": 2}, "plain named"),
        ({"offset": 5}, "100% ended legacy"),
        ({"limit": 1, "offset": 1, "newest_first": True}, "ended"),
        ({"newest_first": True}, "legacy ended 100% unclaimed theirs queued named plain"),
        ({"name": ["workflow"], "status": ["ENQUEUED"], "applications": ["orders"]}, "plain queued unclaimed"),
    ],
)
def test_filters_narrow_a_listing(database: SystemDatabase, fields: dict[str, Any], ids: str) -> None:
    assert _list(database, **fields) == ids


def test_payloads_come_from_either_place(database: SystemDatabase) -> None:
    wanted = WorkflowFilter(workflow_ids=["ended", "plain", "legacy"])
    rows = database.list_workflows(wanted, load_input=True, load_output=True)
    told = {row["workflow_uuid"]: (row["inputs"], row["output"], row["error"]) for row in rows}
    new = a_workflow().inputs
    assert told == {
        "plain": (new, None, None),
        "ended": (new, "o", "old error"),
        "legacy": ("old in", "old out", "old error"),
    }


def test_what_was_not_asked_for_is_not_loaded(database: SystemDatabase) -> None:
    rows = database.list_workflows(WorkflowFilter(), load_input=False, load_output=False)
    assert not {"inputs", "output", "error"} & set(rows[0])


def test_a_connection_that_was_lost_while_idle_costs_no_listing(postgres_server: PostgresServer) -> None:
    def listed(store: SystemDatabase) -> list[Any]:
        return store.list_workflows(WorkflowFilter(), load_input=False, load_output=False)

    with postgres_server.database() as url, opened(url, retry=False) as store:
        assert listed(store) == []
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert listed(store) == []
