"""DBOS in an ASGI application such as FastAPI's: launched and destroyed with it, and known to each request.

Nothing here imports a framework: it is middleware by the letter of ASGI.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

from dbos._error import DBOSException
from dbos.api.requests import BadKeyError, Refusal, Request, log_failure, refusal_of, serving
from dbos.api.runtime import process

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_known: WeakSet[Any] = WeakSet()
"""The applications that have the middleware already."""


def join_asgi(app: Any, *, launch: Callable[[], None], destroy: Callable[[], None]) -> None:
    """Put DBOS into an application, once. Raises TypeError for what takes no middleware."""
    if not callable(getattr(app, "add_middleware", None)):
        raise TypeError(f"fastapi: expected a FastAPI or Starlette application, got {app!r}")
    if app in _known:
        return
    app.add_middleware(DBOSMiddleware, launch=launch, destroy=destroy)
    _known.add(app)


class DBOSMiddleware:
    """Launches DBOS when the application has started and destroys it before it stops; gives each request its context.

    An application that is launched when the server starts is left to whoever launched it.
    """

    def __init__(self, app: App, *, launch: Callable[[], None], destroy: Callable[[], None]) -> None:
        self._app = app
        self._launch = launch
        self._destroy = destroy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        match scope["type"]:
            case "lifespan":
                await self._live(scope, receive, send)
            case "http":
                await self._answer(scope, receive, send)
            case "websocket":
                with serving(_request_of(scope)):
                    await self._app(scope, receive, send)
            case _:
                await self._app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        launched = False

        async def hear() -> Message:
            nonlocal launched
            message = await receive()
            if message["type"] == "lifespan.shutdown" and launched:
                launched = False
                await asyncio.to_thread(self._destroy)  # first: what runs may need what the application closes then
            return message

        async def tell(message: Message) -> None:
            nonlocal launched
            if message["type"] == "lifespan.startup.complete" and not _is_launched():
                await asyncio.to_thread(self._launch)  # last: instances and queues of the application are made then
                launched = True
            await send(message)

        await self._app(scope, hear, tell)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def tell(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                answered(message["status"])
            await send(message)

        try:
            with serving(_request_of(scope)) as answered:
                try:
                    await self._app(scope, receive, tell)
                except DBOSException as error:
                    if begun:
                        raise
                    refusal = refusal_of(error)
                    log_failure(error, refusal)
                    await _refuse(tell, refusal)
        except BadKeyError as error:
            await _refuse(send, refusal_of(error))


def _is_launched() -> bool:
    return process.application is not None and process.application.engine is not None


def _request_of(scope: Scope) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    client, server = scope.get("client"), scope.get("server")
    host = headers.get("host") or ("" if server is None else f"{server[0]}:{server[1]}")
    query = scope.get("query_string", b"").decode("latin-1")
    path = scope["path"]
    url = f"{scope.get('scheme', 'http')}://{host}{quote(path)}"
    return Request(
        path=path,
        method=scope.get("method", scope["type"]),
        url=f"{url}?{query}" if query else url,
        client="" if client is None else str(client[0]),
        headers=headers,
    )


async def _refuse(send: Send, refusal: Refusal) -> None:
    content = refusal.content
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
