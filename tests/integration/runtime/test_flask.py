"""DBOS in a Flask application: launched with its first request, and known to each."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, request

from dbos import DBOS
from support.collector import collecting

pytestmark = pytest.mark.both_databases

KEY = "dbos-idempotency-key"


def test_the_first_request_launches_and_a_workflow_is_a_view(config: Any) -> None:
    app = Flask("shop")
    DBOS(flask=app, config=config)
    DBOS(flask=app, config=config)

    @app.get("/orders/<number>")
    @DBOS.workflow()
    def order(number: str) -> str:
        return f"{number} is {DBOS.workflow_id}"

    client = app.test_client()
    assert client.get("/orders/7", headers={KEY: "K"}).text == "7 is K"
    assert client.get("/orders/8", headers={KEY: "K"}).text == "7 is K"
    assert client.get("/orders/9").text.startswith("9 is ")
    assert client.get("/orders/9", headers={KEY: " "}).status_code == 400


def test_each_request_has_a_user_of_its_own_and_a_missing_role_is_answered_with_403(config: Any) -> None:
    app = Flask("shop")
    DBOS(flask=app, config=config)

    @app.before_request
    def authenticate() -> None:
        if "user" in request.headers:
            DBOS.set_authentication(request.headers["user"], ["buyer"])

    @app.get("/")
    @DBOS.required_roles(["buyer"])
    @DBOS.workflow()
    def order() -> list[str | None]:
        return [DBOS.authenticated_user, DBOS.assumed_role]

    client = app.test_client()
    assert client.get("/", headers={"user": "ada"}).json == ["ada", "buyer"]
    refused = client.get("/")
    assert (refused.status_code, refused.json["dbos_error"]) == (403, "DBOSNotAuthorizedError")
    assert DBOS.authenticated_user is None


def test_errors_of_dbos_are_answered_as_json_and_logged(config: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("shop")
    DBOS(flask=app, config=config)

    @app.get("/")
    def lost() -> str:
        return str(DBOS.retrieve_workflow("nowhere").get_result())

    failed = app.test_client().get("/")
    assert (failed.status_code, failed.json["dbos_error_code"]) == (500, "5")
    assert [record.levelname for record in caplog.records if "A request failed" in record.message] == ["ERROR"]


def test_a_request_goes_on_in_the_trace_that_its_headers_name(config: Any) -> None:
    app = Flask("shop")
    with collecting() as collector:
        DBOS(flask=app, config={**config, "enable_otlp": True, "otlp_traces_endpoints": [collector.traces_endpoint]})

        @app.get("/orders")
        @DBOS.workflow(name="order")
        def order() -> str:
            return "done"

        app.test_client().get("/orders?big=1", headers={"traceparent": f"00-{0xABC:032x}-{0xDEF:016x}-01"})
        DBOS.destroy()
        view, workflow = collector.span("/orders"), collector.span("order")
    assert (int(view.trace_id, 16), int(view.parent_id, 16)) == (0xABC, 0xDEF)
    assert (workflow.trace_id, workflow.parent_id) == (view.trace_id, view.span_id)
    told = {"requestURL": "http://localhost/orders?big=1", "requestMethod": "GET", "responseCode": 200}
    assert told.items() <= view.attributes.items()


def test_what_is_no_application_is_refused(config: Any) -> None:
    with pytest.raises(TypeError, match="flask: expected a Flask application, got 'app'"):
        DBOS(flask="app", config=config)
