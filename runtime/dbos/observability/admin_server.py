"""The admin server: manage the workflows of a running application over HTTP, from the same machine."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from dbos.observability.admin_routes import Administration, Answer, answer
from dbos.observability.serving import Serving, StartResponse

logger = logging.getLogger("dbos")

HOST = "127.0.0.1"
"""It asks nobody who they are, so only the machine itself reaches it; in a pod, a port-forward does."""
MAX_BODY_BYTES = 1 << 20
_OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1", ""})


class AdminServer:
    """Serves until close()."""

    def __init__(self, admin: Administration, *, port: int) -> None:
        """Raises OSError when the port cannot be listened on; 0 picks a free one."""
        self._admin = admin
        self._serving = Serving(self._answer, host=HOST, port=port, name="dbos-admin")

    @property
    def address(self) -> str:
        """`host:port` as it is listened on."""
        return self._serving.address

    def close(self) -> None:
        """Stop serving."""
        self._serving.close()

    def _answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        given = self._decide(environ)
        body = given.body.encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(f"{given.status.value} {given.status.phrase}", headers)
        return [body]

    def _decide(self, environ: dict[str, Any]) -> Answer:
        if _comes_from_a_web_page(environ):
            return Answer(HTTPStatus.FORBIDDEN, '{"error": "requests of web pages are refused"}')
        try:
            length = int(environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return Answer(HTTPStatus.BAD_REQUEST, '{"error": "Content-Length: expected a number"}')
        if not 0 <= length <= MAX_BODY_BYTES:
            return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, '{"error": "the body is larger than 1 MiB"}')
        # WSGI servers hand on paths as Latin-1; IDs are UTF-8.
        path = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
        try:
            return answer(self._admin, environ["REQUEST_METHOD"], path, environ["wsgi.input"].read(length))
        except Exception:  # the boundary of a request: whoever asks learns that it failed, the log says why
            logger.exception("A request to the admin server failed", extra={"path": path})
            return Answer(
                HTTPStatus.INTERNAL_SERVER_ERROR, '{"error": "it failed; the log of the application says why"}'
            )


def _comes_from_a_web_page(environ: dict[str, Any]) -> bool:
    """Whether a browser sends this for a page of somebody: such pages reach every port of their reader's machine."""
    host = urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname or ""
    return (
        "HTTP_ORIGIN" in environ
        or environ.get("HTTP_SEC_FETCH_SITE", "none") not in {"none", "same-origin"}
        or unquote(host) not in _OWN_NAMES
    )
