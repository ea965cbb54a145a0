"""What a request to a web application knows of DBOS: its user, the ID of its workflow, and its trace."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from dbos._error import DBOSException, DBOSNotAuthorizedError
from dbos.api.runtime import process
from dbos.core.ids import check_text
from dbos.engine.authorization import NOBODY
from dbos.engine.context import PendingId, RequestUser, authentication, pending_id, request_user
from dbos.engine.uuids import new_uuid

logger = logging.getLogger("dbos")

IDEMPOTENCY_HEADER = "dbos-idempotency-key"
"""The ID of the first workflow that the request starts."""
REQUEST_ID_HEADER = "x-request-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, whatever server brought it. The names of headers are in lower case."""

    path: str
    method: str
    url: str
    client: str
    headers: Mapping[str, str]

    @property
    def attributes(self) -> dict[str, str]:
        """What its span tells of it."""
        return {
            "operationType": "handler",
            "requestID": self.headers.get(REQUEST_ID_HEADER) or new_uuid(),
            "requestIP": self.client,
            "requestURL": self.url,
            "requestMethod": self.method,
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer in place of the application's."""

    status: int
    body: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The body as JSON."""
        return json.dumps(self.body).encode()


class BadKeyError(ValueError):
    """The header with the workflow's ID cannot be used."""


@contextmanager
def serving(request: Request) -> Iterator[Callable[[int], None]]:
    """The context of one request: nobody is authenticated yet; gives what is to be told the status of the answer.

    Raises BadKeyError when the workflow ID in its header cannot be one.
    """
    key = request.headers.get(IDEMPOTENCY_HEADER)
    try:
        pending = None if key is None else PendingId(check_text(key, subject=IDEMPOTENCY_HEADER))
    except ValueError as error:
        raise BadKeyError(str(error)) from error
    with ExitStack() as stack:
        for variable, value in (
            (pending_id, pending),
            (authentication, NOBODY),
            (request_user, RequestUser()),
        ):
            _set(stack, variable, value)
        yield _open_span(stack, request)


def refusal_of(error: Exception) -> Refusal:
    """What a request is answered with that failed in DBOS: 403 where a role is missing, 400 for its own fault."""
    if isinstance(error, DBOSException):
        status = 403 if isinstance(error, DBOSNotAuthorizedError) else 500
        code = error.dbos_error_code
        names = {"dbos_error_code": "" if code is None else str(code), "dbos_error": type(error).__name__}
        return Refusal(status, {"message": error.message, **names})
    return Refusal(400, {"message": str(error)})


def log_failure(error: Exception, refusal: Refusal) -> None:
    """Log what is a fault of the application."""
    if refusal.status >= 500:
        logger.error("A request failed: %s", error, exc_info=error)


def _set(stack: ExitStack, variable: Any, value: Any) -> None:
    stack.callback(variable.reset, variable.set(value))


def _open_span(stack: ExitStack, request: Request) -> Callable[[int], None]:
    application = process.application
    engine = None if application is None else application.engine
    tracing: Any = None if engine is None else engine.services.tracing
    if tracing is None:
        return lambda _status: None
    span = stack.enter_context(tracing.request(request.path, request.headers, request.attributes))
    answered: Callable[[int], None] = span.answered
    return answered
