"""Application versions: listed, promoted, and the renaming of an application."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, Queue, SetWorkflowID
from dbos.error import DBOSException
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.twins import Twin

pytestmark = pytest.mark.both_databases


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """Both kinds of calls."""
    return Twin(is_async=request.param)


@pytest.fixture(params=["application", "client"])
def owner(request: pytest.FixtureRequest, client: DBOSClient) -> Any:
    """Who is asked."""
    return DBOS if request.param == "application" else client


def _add(sql: Bystander, name: str, application: str | None, time: int) -> None:
    sql.execute(
        "INSERT INTO dbos.application_versions (version_id, version_name, application_name, version_timestamp,"
        " created_at) VALUES (%s, %s, %s, %s, %s)",
        [f"id-{name}", name, application, time, time],
    )


def _age(sql: Bystander) -> None:
    """Put all versions a second back: the next one that is set is the latest, in whichever millisecond."""
    sql.execute("UPDATE dbos.application_versions SET version_timestamp = version_timestamp - 1000")


def test_versions_are_listed_the_latest_first(launch: Launch, twin: Twin, owner: Any, sql: Bystander) -> None:
    launch()
    _add(sql, "v0", "orders", 5)
    _add(sql, "unclaimed", None, 6)
    _add(sql, "foreign", "billing", 7)
    listed = twin.call(owner, "list_application_versions")
    assert [version["version_name"] for version in listed] == ["v1", "unclaimed", "v0"]
    assert listed[2] == {
        "version_id": "id-v0",
        "version_name": "v0",
        "version_timestamp": 5,
        "timestamp": 5,
        "created_at": 5,
        "application_name": "orders",
    }
    assert twin.call(owner, "get_latest_application_version") == listed[0]


def test_the_latest_version_is_set_forward_and_back(launch: Launch, twin: Twin, owner: Any, sql: Bystander) -> None:
    launch()
    _add(sql, "v0", "orders", 5)
    _age(sql)
    twin.call(owner, "set_latest_application_version", "v0")
    assert twin.call(owner, "get_latest_application_version")["version_name"] == "v0"
    _age(sql)
    twin.call(owner, "set_latest_application_version", "v1")
    assert [version["version_name"] for version in DBOS.list_application_versions()] == ["v1", "v0"]
    twin.call(owner, "set_latest_application_version", "unheard of")
    assert len(DBOS.list_application_versions()) == 2


def test_a_version_of_nobody_becomes_the_callers_and_one_of_others_is_refused(
    launch: Launch, twin: Twin, owner: Any, sql: Bystander
) -> None:
    launch()
    _add(sql, "free", None, 5)
    _add(sql, "foreign", "billing", 6)
    _age(sql)
    twin.call(owner, "set_latest_application_version", "free")
    assert DBOS.get_latest_application_version()["application_name"] == "orders"
    with pytest.raises(DBOSException, match="'foreign' belongs to application 'billing', not to 'orders'"):
        twin.call(owner, "set_latest_application_version", "foreign")
    twin.call(owner, "set_latest_application_version", "foreign", application_name="billing")
    with pytest.raises(TypeError, match="version_name: expected text"):
        twin.call(owner, "set_latest_application_version", 5)


def test_without_a_version_there_is_no_latest(twin: Twin, client: DBOSClient) -> None:
    assert twin.call(client, "list_application_versions") == []
    with pytest.raises(DBOSException, match="No application versions found"):
        twin.call(client, "get_latest_application_version")


def test_work_without_a_version_follows_the_latest(launch: Launch, sql: Bystander, client: DBOSClient) -> None:
    @DBOS.workflow(name="work")
    def work() -> str:
        return DBOS.application_version

    Queue("work")
    launch()
    _add(sql, "v2", "orders", 9_999_999_999_999)
    handle = client.enqueue({"workflow_name": "work", "queue_name": "work"})
    DBOS.set_latest_application_version("v1")
    sql.execute("UPDATE dbos.application_versions SET version_timestamp = 1 WHERE version_name = 'v2'")
    assert handle.get_result(polling_interval_sec=0.1) == "v1"


def test_calls_about_versions_are_no_steps(launch: Launch, sql: Bystander) -> None:
    @DBOS.workflow(name="looks")
    def looks() -> int:
        DBOS.set_latest_application_version("v1")
        DBOS.get_latest_application_version()
        return len(DBOS.list_application_versions())

    launch()
    with SetWorkflowID("looks"):
        assert looks() == 1
    assert sql.execute("SELECT 1 FROM dbos.operation_outputs").fetchall() == []


def test_renaming_an_application_takes_all_its_rows_along(
    launch: Launch, twin: Twin, client: DBOSClient, sql: Bystander
) -> None:
    @DBOS.step(name="step")
    def step() -> None: ...

    @DBOS.workflow(name="work")
    def work(*_: Any) -> None:
        step()

    Queue("work")
    launch()
    DBOS.create_schedule(schedule_name="s", workflow_fn=work, schedule="0 0 1 1 *")
    for _ in range(5):
        work()
    sql.execute("UPDATE dbos.queues SET application_name = NULL")
    counts = twin.call(client, "rename_application", "orders", "new-orders", batch_size=2)
    assert counts == {"queues": 0, "schedules": 1, "versions": 1, "workflows": 5, "steps": 5}
    for table in ("workflow_status", "operation_outputs", "workflow_schedules", "application_versions"):
        owners = sql.execute(f"SELECT DISTINCT application_name FROM dbos.{table}").fetchall()
        assert owners == [{"application_name": "new-orders"}]
    adopted = twin.call(client, "rename_application", None, "new-orders", adopt_unclaimed_rows=True, batch_size=None)
    assert adopted == {"queues": 1, "schedules": 0, "versions": 0, "workflows": 0, "steps": 0}


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("orders", "No Name"), {}, DBOSException, "Invalid application name 'No Name'"),
        (("orders", "orders"), {}, DBOSException, "has that name already"),
        ((None, "other"), {}, DBOSException, "Nothing to rename"),
        (("orders", "other"), {"batch_size": 0}, ValueError, "batch_size: expected at least 1"),
    ],
)
def test_a_renaming_that_cannot_be_is_refused(
    client: DBOSClient, arguments: tuple[Any, ...], options: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        client.rename_application(*arguments, **options)
    with pytest.raises(error, match=message):
        asyncio.run(client.rename_application_async(*arguments, **options))
