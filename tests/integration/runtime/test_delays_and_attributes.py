"""Move the delay of workflows and label them: from the application and by a client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, SetEnqueueOptions, SetWorkflowID
from dbos.error import DBOSException
from integration.runtime.callers import Caller
from integration.runtime.conftest import Launch
from support.bystander import Bystander as Sql

pytestmark = pytest.mark.both_databases


@pytest.fixture(params=["DBOS", "client async"])
def call(request: pytest.FixtureRequest, client: DBOSClient) -> Caller:
    """A blocking call of the application, or an awaited one of a client; twins share their bodies."""
    return Caller(request.param, client)


@pytest.fixture
def work(launch: Launch) -> Callable[[], str]:
    """The workflow of a launched application that serves the queue `work`."""

    @DBOS.workflow(name="work")
    def work() -> str:
        return "done"

    launch()
    DBOS.register_queue("work")
    return work


def _row(sql: Sql) -> dict[str, Any]:
    row = sql.execute(
        "SELECT delay_until_epoch_ms, status, completed_at, CAST(attributes AS text) AS attributes"
        " FROM dbos.workflow_status"
    ).fetchone()
    assert row is not None
    return row


def test_a_delay_is_moved_while_it_lasts(work: Callable[[], str], call: Caller, sql: Sql) -> None:
    with SetWorkflowID("w"), SetEnqueueOptions(delay_seconds=3600):
        DBOS.enqueue_workflow("work", work)
    call("set_workflow_delay", "w", delay_until_epoch_ms=4_000_000_000_000)
    assert _row(sql)["delay_until_epoch_ms"] == 4_000_000_000_000
    call("set_workflow_delay", "w", delay_seconds=0)
    assert call.result(call("retrieve_workflow", "w")) == "done"
    before = _row(sql)
    call("set_workflow_delay", "w", delay_seconds=60)
    assert _row(sql) == before


@pytest.mark.usefixtures("work")
def test_a_delay_is_told_in_one_way(call: Caller) -> None:
    both = {"delay_seconds": 1, "delay_until_epoch_ms": 1}
    for times in ({}, both, {"delay_seconds": -1}, {"delay_seconds": "soon"}):
        with pytest.raises(DBOSException, match=r"^DBOS Error: (delay_seconds: |Expected either delay_seconds )"):
            call("set_workflow_delay", "w", **times)


def test_attributes_are_replaced_merged_and_removed(work: Callable[[], str], call: Caller, sql: Sql) -> None:
    with SetWorkflowID("w"), SetEnqueueOptions(app_version="nobody's"):
        DBOS.enqueue_workflow("work", work)
    call("update_workflow_attributes", "w", {"a": 1, "b": {"c": 2}})
    call("update_workflow_attributes", "w", {"b": 3, "d": [None]}, merge=True)
    assert _row(sql)["attributes"] == '{"a": 1, "b": 3, "d": [null]}'
    call("update_workflow_attributes", "w", {"e": "ü"})
    assert call.status(call("retrieve_workflow", "w")).attributes == {"e": "ü"}
    call("update_workflow_attributes", "w", None)
    assert _row(sql)["attributes"] == "null"
    call("update_workflow_attributes", "w", {"f": 1}, merge=True)
    assert _row(sql)["attributes"] == '{"f": 1}'
    call("update_workflow_attributes", "unknown", {"f": 1})


@pytest.mark.usefixtures("work")
def test_attributes_are_json_objects(call: Caller) -> None:
    for attributes in ([1], "text", {"a": object()}, {"a": float("nan")}, {"a": "\0"}):
        with pytest.raises(DBOSException, match="attributes"):
            call("update_workflow_attributes", "w", attributes)
    with pytest.raises(DBOSException, match="attributes"):
        call("update_workflow_attributes", "w", None, merge=True)
