"""DBOS in a FastAPI application: its life, its requests, their users and traces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse

from dbos import DBOS, DBOSContextEnsure, error
from support.collector import Collector, collecting

pytestmark = pytest.mark.both_databases

KEY = "dbos-idempotency-key"


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The application between startup and shutdown, as a server runs it, and a client of it."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    living = asyncio.create_task(app(scope, told.get, answers.put))  # type: ignore[arg-type]
    await told.put({"type": "lifespan.startup"})
    started = await answers.get()
    if started["type"] != "lifespan.startup.complete":
        await asyncio.gather(living, return_exceptions=True)
        raise RuntimeError(started["message"])
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("10.0.0.7", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client
    await told.put({"type": "lifespan.shutdown"})
    stopped = await answers.get()
    await living
    assert stopped["type"] == "lifespan.shutdown.complete"


async def test_dbos_lives_between_the_startup_and_the_shutdown_of_the_application(config: Any) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        told.append(f"startup: {_is_launched()}")
        yield
        told.append(f"shutdown: {_is_launched()}")

    app = FastAPI(lifespan=lifespan)
    DBOS(fastapi=app, config=config)

    @app.get("/")
    def here() -> str:
        return DBOS.executor_id

    async with serving(app) as client:
        assert (await client.get("/")).json() == "one"
    assert told == ["startup: False", "shutdown: False"]
    assert not _is_launched()


async def test_an_application_that_launched_dbos_itself_destroys_it_itself(config: Any) -> None:
    app = FastAPI()
    DBOS(fastapi=app, config=config)
    DBOS.launch()
    async with serving(app):
        pass
    assert _is_launched()


async def test_a_launch_that_fails_fails_the_startup(config: Any) -> None:
    app = FastAPI()
    DBOS(fastapi=app, config={**config, "system_database_url": "postgresql://nobody@127.0.0.1:1/none"})
    with pytest.raises(RuntimeError, match="DBOSInitializationError"):
        async with serving(app):
            pass


async def test_a_workflow_is_an_endpoint_and_its_id_comes_in_a_header(config: Any) -> None:
    app = FastAPI()
    DBOS(fastapi=app, config=config)
    runs: list[str | None] = []

    @DBOS.step()
    def note() -> None:
        runs.append(DBOS.workflow_id)

    @app.get("/orders/{number}")
    @DBOS.workflow()
    def order(number: int) -> str:
        note()
        return f"{number} is {DBOS.workflow_id}"

    @app.get("/async")
    @DBOS.workflow()
    async def order_on_loop() -> str:
        return str(DBOS.workflow_id)

    async with serving(app) as client:
        first = await client.get("/orders/7", headers={KEY: "K1"})
        again = await client.get("/orders/7", headers={KEY: "K1"})
        on_loop = await client.get("/async", headers={"DBOS-Idempotency-Key": "K2"})
        other = await client.get("/orders/8")
    assert (first.json(), again.json(), on_loop.json()) == ("7 is K1", "7 is K1", "K2")
    assert other.json().startswith("8 is ")
    assert len(runs) == 2
    assert runs[0] == "K1"


async def test_the_id_is_for_the_first_workflow_of_the_request(config: Any) -> None:
    app = FastAPI()
    DBOS(fastapi=app, config=config)

    @DBOS.workflow()
    def order() -> str:
        return str(DBOS.workflow_id)

    @app.get("/")
    def orders() -> list[str]:
        return [order(), order(), DBOS.start_workflow(order).get_result()]

    async with serving(app) as client:
        ids = (await client.get("/", headers={KEY: "K"})).json()
        assert (await client.get("/", headers={KEY: " "})).status_code == 400
    assert ids[0] == "K"
    assert len(set(ids)) == 3


async def test_a_missing_role_is_answered_with_403_and_other_errors_of_dbos_with_500(
    config: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = FastAPI()
    DBOS(fastapi=app, config=config)

    @app.get("/guarded")
    @DBOS.required_roles(["admin"])
    @DBOS.workflow(name="guarded")
    def guarded() -> str:
        return "done"

    @app.get("/lost")
    async def lost() -> str:
        return str(await (await DBOS.retrieve_workflow_async("nowhere")).get_result())

    async with serving(app) as client:
        refused, failed = await client.get("/guarded"), await client.get("/lost")
    assert (refused.status_code, refused.json()) == (
        403,
        {
            "message": "guarded requires one of the roles admin, and nobody is authenticated here",
            "dbos_error_code": "8",
            "dbos_error": "DBOSNotAuthorizedError",
        },
    )
    assert (failed.status_code, failed.json()["dbos_error"]) == (500, "DBOSNonExistentWorkflowError")
    assert [record.levelname for record in caplog.records if "A request failed" in record.message] == ["ERROR"]


async def test_a_handler_of_the_application_answers_before_ours(config: Any) -> None:
    app = FastAPI()
    DBOS(fastapi=app, config=config)

    @app.exception_handler(error.DBOSNotAuthorizedError)
    async def answer(_request: Request, _error: Exception) -> Response:
        return Response("go away", status_code=418)

    @app.get("/")
    @DBOS.required_roles(["admin"])
    @DBOS.workflow()
    def guarded() -> None: ...

    async with serving(app) as client:
        assert (await client.get("/")).status_code == 418


async def test_each_request_has_a_user_of_its_own_in_all_its_threads(config: Any) -> None:
    app = FastAPI()
    DBOS(fastapi=app, config=config)

    def in_a_thread(request: Request) -> None:
        if "user" in request.headers:
            DBOS.set_authentication(request.headers["user"], ["buyer"])

    async def on_the_loop(request: Request) -> None:
        in_a_thread(request)

    @DBOS.required_roles(["buyer"])
    @DBOS.workflow()
    def order() -> list[str | None]:
        return [DBOS.authenticated_user, DBOS.assumed_role]

    @app.get("/thread", dependencies=[Depends(in_a_thread)])
    def of_thread() -> list[str | None]:
        return order()

    @app.get("/loop", dependencies=[Depends(on_the_loop)])
    def of_loop() -> list[str | None]:
        return order()

    @app.get("/block", dependencies=[Depends(in_a_thread)])
    def of_block() -> list[str | None]:
        with DBOSContextEnsure():
            DBOS.set_authentication("carol", ["buyer"])
            inside = DBOS.authenticated_user
        return [inside, DBOS.authenticated_user]

    async with serving(app) as client:
        for path in ("/thread", "/loop"):
            assert (await client.get(path, headers={"user": "ada"})).json() == ["ada", "buyer"]
            assert (await client.get(path)).status_code == 403
        assert (await client.get("/block", headers={"user": "ada"})).json() == ["carol", "ada"]
    assert DBOS.authenticated_user is None


async def test_a_user_is_stored_with_what_the_request_starts(config: Any) -> None:
    app = FastAPI()
    DBOS(fastapi=app, config=config)

    @DBOS.workflow()
    def order() -> str | None:
        return DBOS.authenticated_user

    @app.get("/")
    async def start() -> str:
        DBOS.set_authentication("ada", ["buyer"])
        handle = await asyncio.to_thread(DBOS.start_workflow, order)
        return handle.workflow_id

    async with serving(app) as client:
        workflow_id = (await client.get("/")).json()
        handle: Any = await DBOS.retrieve_workflow_async(workflow_id)
        assert await handle.get_result() == "ada"
        status = await handle.get_status()
    assert (status.authenticated_user, status.authenticated_roles) == ("ada", ["buyer"])


async def test_streams_and_websockets_pass(config: Any) -> None:
    app = FastAPI()
    DBOS(fastapi=app, config=config)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for part in (b"a", b"b"):
                yield part

        return StreamingResponse(parts())

    @app.websocket("/socket")
    async def socket(connection: WebSocket) -> None:
        await connection.accept()
        await connection.send_text(str(DBOS.authenticated_user))
        await connection.close()

    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async with serving(app) as client:
        assert (await client.get("/stream")).text == "ab"
        scope = {"type": "websocket", "path": "/socket", "headers": [], "query_string": b"", "subprotocols": []}
        await app(scope, receive, send)
    assert [message.get("text") for message in sent if message["type"] == "websocket.send"] == ["None"]


async def test_a_request_goes_on_in_the_trace_that_its_headers_name(config: Any) -> None:
    app = FastAPI()
    with collecting() as collector:
        DBOS(fastapi=app, config={**config, "enable_otlp": True, "otlp_traces_endpoints": [collector.traces_endpoint]})

        @app.get("/orders")
        @DBOS.workflow(name="order")
        def order() -> None: ...

        async with serving(app) as client:
            parent = f"00-{0xABC:032x}-{0xDEF:016x}-01"
            await client.get("/orders?big=1", headers={"traceparent": parent, "x-request-id": "R"})
        _check_request(collector)


def _check_request(collector: Collector) -> None:
    request, order = collector.span("/orders"), collector.span("order")
    assert {span.trace_id for span in collector.spans} == {f"{0xABC:032x}"}
    assert order.parent_id in {span.span_id for span in collector.spans}
    told = {
        "operationType": "handler",
        "requestID": "R",
        "requestIP": "10.0.0.7",
        "requestURL": "http://shop/orders?big=1",
        "requestMethod": "GET",
        "responseCode": 200,
    }
    assert told.items() <= request.attributes.items()


async def test_what_takes_no_middleware_is_refused(config: Any) -> None:
    with pytest.raises(TypeError, match="fastapi: expected a FastAPI or Starlette application, got 'app'"):
        DBOS(fastapi="app", config=config)


async def test_an_application_is_joined_once_and_works_again_after_a_destroy(config: Any) -> None:
    app = FastAPI()

    @DBOS.workflow(name="order")
    def order() -> str:
        return str(DBOS.workflow_id)

    app.get("/")(order)
    for key in ("first", "second"):
        DBOS(fastapi=app, config=config)
        DBOS(fastapi=app, config=config)
        async with serving(app) as client:
            assert (await client.get("/", headers={KEY: key})).json() == key


def _is_launched() -> bool:
    try:
        return bool(DBOS.application_version)
    except error.DBOSException:
        return False
