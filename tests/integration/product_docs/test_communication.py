"""The documentation's blocks about messages, events and streams."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Response

from dbos import DBOS, SetWorkflowID
from support.bystander import Bystander
from support.product_docs import Blocks

from .conftest import Visitor

pytestmark = pytest.mark.both_databases
PAYMENT_STATUS = "payment_status"
PAYMENT_ID = "payment_id"


def test_a_checkout_waits_for_its_payment(blocks: Blocks, application: DBOS, sql: Bystander) -> None:
    ran: list[int] = []
    given = {"PAYMENT_STATUS": PAYMENT_STATUS, "watch": ran.append}
    checkout = blocks.run("programming-guide/25-messages-receiver.py", **given)["checkout_workflow"]
    ran.clear()
    branches = {}
    for status in ("paid", "declined"):
        with SetWorkflowID(status):
            handle = DBOS.start_workflow(checkout)
        DBOS.send(status, "of another topic")
        DBOS.send(status, status, PAYMENT_STATUS)
        assert handle.get_result() is None
        branches[status] = ran[-1]
        ran.clear()

    assert branches == {"paid": 6, "declined": 8}
    assert sql.execute(
        "SELECT destination_uuid, topic FROM dbos.notifications WHERE consumed ORDER BY destination_uuid"
    ).fetchall() == [{"destination_uuid": to, "topic": PAYMENT_STATUS} for to in ("declined", "paid")]


def test_an_endpoint_forwards_the_payment(blocks: Blocks, application: DBOS) -> None:
    app = FastAPI()

    @DBOS.workflow()
    def checkout() -> Any:
        return DBOS.recv(PAYMENT_STATUS)

    blocks.run("programming-guide/26-messages-endpoint.py", app=app, Response=Response, PAYMENT_STATUS=PAYMENT_STATUS)
    handle = DBOS.start_workflow(checkout)
    answer = Visitor(app).post(f"/payment_webhook/{handle.workflow_id}/paid", payment_id=handle.workflow_id)

    assert answer.status_code == 200
    assert handle.get_result() == "paid"


def test_a_checkout_publishes_its_payment(blocks: Blocks, application: DBOS) -> None:
    space = blocks.run("programming-guide/30-events-publisher.py", dbos=application, PAYMENT_ID=PAYMENT_ID)
    handle = DBOS.start_workflow(space["checkout_workflow"])

    assert DBOS.get_event(handle.workflow_id, PAYMENT_ID) is ...
    assert DBOS.get_all_events(handle.workflow_id) == {PAYMENT_ID: ...}


def test_an_endpoint_answers_with_the_payment(blocks: Blocks, application: DBOS) -> None:
    app = FastAPI()
    started: list[str | None] = []

    @DBOS.workflow()
    def checkout_workflow() -> None:
        started.append(DBOS.workflow_id)
        DBOS.set_event(PAYMENT_ID, None if DBOS.workflow_id == "failing" else f"payment of {DBOS.workflow_id}")

    blocks.run(
        "programming-guide/31-events-endpoint.py",
        app=app,
        checkout_workflow=checkout_workflow,
        HTTPException=HTTPException,
        PAYMENT_ID=PAYMENT_ID,
        Response=Response,
    )
    visitor = Visitor(app)

    assert [visitor.post("/checkout/key-1").text for _ in range(2)] == ["payment of key-1"] * 2
    assert started == ["key-1"]
    failed = visitor.post("/checkout/failing")
    assert (failed.status_code, failed.json()) == (404, {"detail": "Checkout failed to start"})


def test_a_stream_is_written_and_read(blocks: Blocks, application: DBOS, capsys: pytest.CaptureFixture[str]) -> None:
    space = blocks.run("programming-guide/34-streams-producer.py", example_key="progress")
    handle = DBOS.start_workflow(space["producer_workflow"])
    blocks.run("programming-guide/36-streams-reader.py", workflow_id=handle.workflow_id, example_key="progress")

    assert capsys.readouterr().out == (
        "Received: {'step': 1, 'data': 'value1'}\nReceived: {'step': 2, 'data': 'value2'}\n"
    )
