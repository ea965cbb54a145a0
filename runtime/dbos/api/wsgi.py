"""DBOS in a WSGI application such as Flask's: launched with the first request, and known to each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from weakref import WeakSet
from wsgiref.util import request_uri

from dbos._error import DBOSException
from dbos.api.requests import BadKeyError, Request, log_failure, refusal_of, serving
from dbos.api.runtime import process

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

_known: WeakSet[Any] = WeakSet()
"""The applications that have the middleware already."""


def join_wsgi(app: Any, *, launch: Callable[[], None]) -> None:
    """Put DBOS into an application, once. Raises TypeError for what is no Flask application."""
    if not callable(getattr(app, "wsgi_app", None)):
        raise TypeError(f"flask: expected a Flask application, got {app!r}")
    if app in _known:
        return
    app.wsgi_app = Requests(app.wsgi_app, launch=launch)
    app.register_error_handler(DBOSException, _answer_of)
    _known.add(app)


class Requests:
    """Gives each request its context. The first one launches DBOS, unless it is launched."""

    def __init__(self, app: App, *, launch: Callable[[], None]) -> None:
        self._app = app
        self._launch = launch
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """As WSGI has it."""
        self._launch_once()

        def start(status: str, headers: list[tuple[str, str]], *broken: Any) -> Any:
            answered(int(status.split(maxsplit=1)[0]))
            return start_response(status, headers, *broken)

        try:
            with serving(_request_of(environ)) as answered:
                return self._app(environ, start)
        except BadKeyError as error:
            refusal = refusal_of(error)
            status = HTTPStatus(refusal.status)
            start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
            return [refusal.content]

    def _launch_once(self) -> None:
        with self._lock:
            if process.application is None or process.application.engine is None:
                self._launch()


def _request_of(environ: Environ) -> Request:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return Request(
        path=environ.get("PATH_INFO", ""),
        method=environ.get("REQUEST_METHOD", ""),
        url=request_uri(environ),
        client=environ.get("REMOTE_ADDR", ""),
        headers=headers,
    )


def _answer_of(error: DBOSException) -> tuple[dict[str, str], int]:
    """What Flask answers when a view raises: a dictionary is JSON to it."""
    refusal = refusal_of(error)
    log_failure(error, refusal)
    return refusal.body, refusal.status
