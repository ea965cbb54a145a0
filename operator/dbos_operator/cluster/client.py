"""One HTTP client for the Kubernetes API: JSON in, JSON out, failures as our own errors."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from dbos_operator.cluster.connection import BEARER, ConnectionSource, Credentials, credentials_of, load_configuration
from dbos_operator.errors import (
    ClusterError,
    ClusterForbiddenError,
    ConflictError,
    NotFoundError,
)

logger = logging.getLogger(__name__)

CALL_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=5)
LIST_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
MERGE_PATCH = "application/merge-patch+json"
MAX_RETRIES = 2
MAX_RETRY_AFTER = 3.0
"""Longest pause, in seconds, that is waited out inside a call; beyond it the next tick is the retry."""
RELOAD_INTERVAL = 10.0
"""Seconds between two readings of credentials: a plugin behind them may start a process."""


class GoneError(ClusterError):
    """The server no longer remembers the moment that the call asks about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    timeout: aiohttp.ClientTimeout = CALL_TIMEOUT

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back."""

    status: int
    content: bytes
    retry_after: str | None

    @property
    def message(self) -> str:
        """The sentence of the API server, in one line."""
        try:
            text = str(json.loads(self.content)["message"])
        except (ValueError, KeyError, TypeError):
            text = self.content[:300].decode(errors="replace")
        return " ".join(text.split()) or f"status {self.status}"


class ApiSession:
    """Calls to one API server.

    Every call has a time-out. Credentials that the server no longer accepts are
    read again once; a server that asks for patience gets a little of it.
    """

    def __init__(self, source: ConnectionSource, configuration: Configuration) -> None:
        self._source = source
        self._client = ApiClient(configuration)
        self._retired: ApiClient | None = None
        self._reloading = asyncio.Lock()
        self._reloaded_at = float("-inf")

    @classmethod
    async def open(cls, source: ConnectionSource) -> ApiSession:
        """A session for the cluster that `source` names; nothing is sent yet."""
        return cls(source, await load_configuration(source))

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.close()  # type: ignore[no-untyped-call]
        if self._retired is not None:
            await self._retired.close()  # type: ignore[no-untyped-call]

    @property
    def server(self) -> str:
        """The address of the API server."""
        return str(self._client.configuration.host)

    def credentials(self) -> Credentials:
        """What is used now."""
        return credentials_of(self._client.configuration)

    async def reload_credentials(self, refused: Credentials) -> Credentials:
        """Credentials that may work where `refused` did not: read again unless somebody just did."""
        async with self._reloading:
            now = asyncio.get_running_loop().time()
            if self.credentials() == refused and now - self._reloaded_at >= RELOAD_INTERVAL:
                self._reloaded_at = now
                configuration = await load_configuration(self._source)
                # Calls in flight still use the client before; it goes when the next one comes.
                if self._retired is not None:
                    await self._retired.close()  # type: ignore[no-untyped-call]
                self._retired, self._client = self._client, ApiClient(configuration)
                logger.info("credentials read again", extra={"server": self.server})
            return self.credentials()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The object at `path`."""
        return await self.send(Request(method="GET", path=path, query=query or {}))

    async def find(self, path: str) -> dict[str, Any] | None:
        """The object at `path`, or None when it is not there."""
        try:
            return await self.get(path)
        except NotFoundError:
            return None

    async def merge(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a merge patch (RFC 7386)."""
        return await self.send(Request(method="PATCH", path=path, body=body))

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object in the collection at `path`."""
        return await self.send(Request(method="POST", path=path, body=body))

    async def send(self, request: Request) -> dict[str, Any]:
        """Make the call; raise what `Cluster` promises to raise."""
        response = await self._attempt(request)
        for _ in range(MAX_RETRIES):
            pause = pause_before_retry(response)
            if pause is None:
                break
            await asyncio.sleep(pause)
            response = await self._attempt(request)
        return read_answer(request, response)

    async def _attempt(self, request: Request) -> Response:
        used = self.credentials()
        response = await self._exchange(request)
        if response.status == HTTPStatus.UNAUTHORIZED:
            await self.reload_credentials(used)
            response = await self._exchange(request)
        return response

    async def _exchange(self, request: Request) -> Response:
        client = self._client
        headers = {"Accept": "application/json", "User-Agent": "dbos-operator"}
        authorization = await client.configuration.get_api_key_with_prefix(BEARER)
        if authorization:
            headers["Authorization"] = authorization.strip()
        if request.body is not None:
            headers["Content-Type"] = MERGE_PATCH if request.method == "PATCH" else "application/json"
        url = client.configuration.host + request.path
        if request.query:
            url += "?" + urlencode(request.query)
        try:
            answer = await client.rest_client.request(  # type: ignore[no-untyped-call]
                request.method, url, headers=headers, body=request.body, _request_timeout=request.timeout
            )
            content = await answer.read()
        except TimeoutError as error:
            raise ClusterError(f"{request}: {self.server} did not answer in {request.timeout.total:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterError(f"{request}: {self.server} cannot be reached: {error}") from error
        return Response(status=answer.status, content=content, retry_after=answer.headers.get("Retry-After"))


def pause_before_retry(response: Response) -> float | None:
    """Seconds after which the server asks to be called again, or None when this answer is final.

    Only an answer that names a short pause is repeated: then the server has not
    done what was asked, so repeating is safe for every verb.
    """
    if response.status not in {429, 500, 503, 504} or response.retry_after is None:
        return None
    try:
        pause = float(response.retry_after)
    except ValueError:
        return None
    return max(pause, 0.1) if pause <= MAX_RETRY_AFTER else None


def read_answer(request: Request, response: Response) -> dict[str, Any]:
    """The object of a good answer; our error for any other."""
    match response.status:
        case 200 | 201 | 202:
            answer: dict[str, Any] = json.loads(response.content)
            return answer
        case 404:
            raise NotFoundError(f"{request}: {response.message}")
        case 409:
            raise ConflictError(f"{request}: {response.message}")
        case 410:
            raise GoneError(f"{request}: {response.message}")
        case 422 if "metadata.uid" in response.message:
            # The object was replaced by another of its name, and a UID cannot be patched.
            raise ConflictError(f"{request}: {response.message}")
        case 401 | 403:
            raise ClusterForbiddenError(f"{request}: {response.message}")
        case 429:
            raise ClusterError(f"{request}: the API server asks to be called less often: {response.message}")
        case status:
            raise ClusterError(f"{request}: status {status}: {response.message}")
