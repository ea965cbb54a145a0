"""What a client refuses before it writes, and what it lists: one database that every test here only reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from dbos import DBOSClient
from support.postgres import PostgresServer


def _options(**more: Any) -> Any:
    return {"workflow_name": "work", "queue_name": "queue", **more}


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> Iterator[str]:
    """Six workflows: a1, a2, a3 on queue a, b1, b2 on b, and c1 that was started directly."""
    with (
        postgres_server.database() as made,
        DBOSClient(system_database_url=made, application_name="orders") as client,
        psycopg.connect(made, autocommit=True) as sql,
    ):
        for number, workflow_id in enumerate(("a1", "a2", "a3", "b1", "b2", "c1")):
            name, queue = f"name-{workflow_id[0]}", workflow_id[0]
            client.enqueue({"workflow_name": name, "queue_name": queue, "workflow_id": workflow_id}, 1)
            sql.execute(
                "UPDATE dbos.workflow_status SET created_at = %s WHERE workflow_uuid = %s", [1000 * number, workflow_id]
            )
        for workflow_id, changes in {
            "a2": "status = 'SUCCESS', executor_id = 'one'",
            "b1": "status = 'ERROR', application_version = 'v2', authenticated_user = 'eve'",
            "c1": "queue_name = NULL, parent_workflow_id = 'a1', forked_from = 'a2', schedule_name = 'nightly'",
        }.items():
            sql.execute(f"UPDATE dbos.workflow_status SET {changes} WHERE workflow_uuid = %s", [workflow_id])  # type: ignore[arg-type]
        yield made


@pytest.fixture(scope="module")
def listed(url: str) -> Iterator[DBOSClient]:
    """A client of the application that owns them."""
    with DBOSClient(system_database_url=url, application_name="orders") as client:
        yield client


def _iso(ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat()


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, "a1 a2 a3 b1 b2 c1"),
        ({"sort_desc": True}, "c1 b2 b1 a3 a2 a1"),
        ({"limit": 2}, "a1 a2"),
        ({"limit": 2, "offset": 1}, "a2 a3"),
        ({"limit": 2, "sort_desc": True}, "c1 b2"),
        ({"offset": 4}, "b2 c1"),
        ({"workflow_ids": ["b1", "a3", "nobody"]}, "a3 b1"),
        ({"workflow_ids": []}, ""),
        ({"status": "SUCCESS"}, "a2"),
        ({"status": ["SUCCESS", "ERROR"]}, "a2 b1"),
        ({"name": "name-b"}, "b1 b2"),
        ({"name": ["name-b", "name-c"]}, "b1 b2 c1"),
        ({"queue_name": "a", "status": "ENQUEUED"}, "a1 a3"),
        ({"executor_id": "one"}, "a2"),
        ({"app_version": "v2"}, "b1"),
        ({"user": "eve"}, "b1"),
        ({"parent_workflow_id": "a1"}, "c1"),
        ({"forked_from": "a2"}, "c1"),
        ({"schedule_name": "nightly"}, "c1"),
        ({"workflow_id_prefix": "a"}, "a1 a2 a3"),
        ({"workflow_id_prefix": ["b", "c"]}, "b1 b2 c1"),
        ({"workflow_id_prefix": "%"}, ""),
        ({"workflow_id_prefix": "_1"}, ""),
        ({"queues_only": True}, "a1 a3 b2"),
        ({"queues_only": True, "status": ["SUCCESS", "ENQUEUED"]}, "a1 a2 a3 b2"),
        ({"start_time": _iso(2000)}, "a3 b1 b2 c1"),
        ({"end_time": _iso(2000)}, "a1 a2 a3"),
        ({"start_time": "1970-01-01T00:00:01Z", "end_time": _iso(2000)}, "a2 a3"),
    ],
)
def test_a_listing_gives_what_matches_in_order(listed: DBOSClient, filters: Any, ids: str) -> None:
    assert " ".join(status.workflow_id for status in listed.list_workflows(**filters)) == ids


def test_queued_workflows_are_those_that_wait_or_run(listed: DBOSClient) -> None:
    assert [status.workflow_id for status in listed.list_queued_workflows()] == ["a1", "a3", "b2"]


def test_payloads_are_loaded_when_asked_for(listed: DBOSClient) -> None:
    assert listed.list_workflows(workflow_ids=["a1"], load_input=False)[0].input is None
    assert listed.list_workflows(workflow_ids=["a1"])[0].input == {"args": (1,), "kwargs": {}}


def test_a_listing_is_of_ones_own_application_unless_ids_are_given(listed: DBOSClient, url: str) -> None:
    with DBOSClient(system_database_url=url, application_name="shop") as shop:
        assert shop.list_workflows() == []
        assert [status.workflow_id for status in shop.list_workflows(workflow_ids=["a1"])] == ["a1"]
    with DBOSClient(system_database_url=url) as anybody:
        assert len(anybody.list_workflows()) == 6


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"colour": "red"}, "unknown filters colour"),
        ({"start_time": "soon"}, "start_time: expected ISO 8601"),
        ({"limit": -1}, "limit: expected 0 or more, got -1"),
        ({"limit": "5"}, "limit: expected a whole number, got '5'"),
        ({"offset": True}, "offset: expected a whole number, got True"),
    ],
)
def test_filters_that_cannot_be_are_refused_and_named(listed: DBOSClient, filters: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        listed.list_workflows(**filters)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (None, "EnqueueOptions: expected a dictionary of options, got None"),
        (5, "EnqueueOptions: expected a dictionary of options, got 5"),
        ({"queue_name": "q"}, "expected text for 'workflow_name'"),
        ({"workflow_name": "w"}, "expected text for 'queue_name'"),
        ({"workflow_name": " ", "queue_name": "q"}, "expected text for 'workflow_name'"),
        (_options(queue_name="_dbos_mine"), "queue_name: names that start with"),
        (_options(colour="red"), "unknown colour"),
        (_options(workflow_id=""), "workflow_id: expected text that is not blank"),
        (_options(workflow_id="a\0"), "workflow_id: expected text without NUL"),
        (_options(workflow_id=5), "workflow_id: expected text, got int"),
        (_options(deduplication_id=" "), "deduplication_id"),
        (_options(priority=0), "priority: expected 1 to"),
        (_options(priority="high"), "priority: expected a whole number"),
        (_options(delay_seconds=-1), "delay_seconds: expected 0 to"),
        (_options(delay_seconds=float("inf")), "delay_seconds: expected 0 to"),
        (_options(workflow_timeout=0), "workflow_timeout: expected more than 0"),
        (_options(workflow_timeout="1"), "workflow_timeout: expected seconds"),
        (_options(workflow_timeout=float("nan")), "workflow_timeout"),
        (_options(duplication_policy="ignore"), "duplication_policy: expected 'reject'"),
        (_options(duplication_policy="return-existing"), "duplication_policy: expected a deduplication_id"),
    ],
)
def test_options_that_cannot_be_are_refused_and_named(listed: DBOSClient, options: Any, said: str) -> None:
    for enqueue in (listed.enqueue, lambda options: listed.enqueue_many(options, [(1,)])):
        with pytest.raises((ValueError, TypeError), match=said):
            enqueue(options)
    assert len(listed.list_workflows()) == 6
