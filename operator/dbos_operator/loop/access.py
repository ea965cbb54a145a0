"""How a loop gets at its database: the Secret, the URL in it, the connections, and the pauses between tries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any, TypeVar

from dbos_operator.cluster.protocol import Cluster
from dbos_operator.decide.changes import Applied, Change
from dbos_operator.errors import ClusterError, DatabaseUnavailableError, OperatorError, UnusableDatabaseError
from dbos_operator.gateway.protocol import Gateway, GatewayRequest, Observation, ObserveRequest, Prepared, Sample
from dbos_operator.loop.breaker import Breaker
from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import ObjectKey
from dbos_operator.resources.specs import DatabaseSpec, Initialize
from dbos_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")

WRITE_PATIENCE = timedelta(seconds=80)
"""For what may take many statements. A pass with it is still no stuck one."""
READ_PATIENCE = timedelta(seconds=10)
"""Beyond the time that a statement may take."""
CLOSE_PATIENCE = timedelta(seconds=5)
"""For what is under way when the operator ends: a pod has half a minute."""

OpenGateway = Callable[[GatewayRequest], Gateway]


class DatabaseAccess:
    """The gateway of one DBOSDatabase, opened, prepared and replaced as its Secret and spec ask.

    Blocking calls run in threads of its own, so a database that hangs delays no other, and none waits for ever:
    the server's own time limits are of no help when it is the server that hangs.
    """

    def __init__(self, key: ObjectKey, cluster: Cluster, settings: OperatorSettings, open_gateway: OpenGateway) -> None:
        self._key = key
        self._cluster = cluster
        self._settings = settings
        self._open = open_gateway
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix=f"database-{key}")
        self._under_way: set[Future[Any]] = set()
        self._read_patience = READ_PATIENCE
        self._gateway: Gateway | None = None
        self._request: GatewayRequest | None = None
        self._secret_read_at: datetime | None = None
        self._secret: tuple[str, str] | None = None
        self.breaker = Breaker(longest=settings.max_back_off)
        self.prepared: Prepared | None = None

    async def ensure(self, spec: DatabaseSpec, now: datetime, *, lingering: bool) -> Prepared:
        """Make sure that the database can be read and written.

        `lingering`: the DBOSDatabase is gone. What was opened before it went is
        used as it is, else its Secret is tried once more. Raises OperatorError
        with the reason that a condition shows.
        """
        if (error := self.breaker.holds(now)) is not None:
            raise error
        await self._refresh(spec, now, lingering=lingering)
        gateway = self._opened()
        if self.prepared is None:
            self.prepared = await self._call(WRITE_PATIENCE, gateway.prepare)
        return self.prepared

    async def observe(self, request: ObserveRequest) -> Observation:
        """One look at the rows."""
        return await self._call(self._read_patience, self._opened().observe, request)

    async def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """Make the changes; nothing is sent when there are none."""
        return await self._call(WRITE_PATIENCE, self._opened().apply, changes) if changes else []

    async def sample(self, since_ms: int | None) -> Sample:
        """Exact numbers for the metrics."""
        return await self._call(self._read_patience, self._opened().sample, since_ms)

    def failed(self, error: OperatorError, now: datetime) -> None:
        """Remember a failure: the next try comes after a pause, reads the Secret and looks at the schema again."""
        self.breaker = self.breaker.failed(error, now)
        self._secret_read_at = None
        self.prepared = None

    def look_again(self) -> None:
        """Have the next call of `ensure` find out anew which database this is."""
        self.prepared = None

    def succeeded(self) -> None:
        """Remember that the database answered."""
        self.breaker = self.breaker.succeeded()

    async def close(self) -> None:
        """Close every connection, after what is under way; what takes longer than a few seconds is broken off."""
        gateway, self._gateway, self._request, self.prepared = self._gateway, None, None, None
        if gateway is not None:
            await asyncio.to_thread(wait, set(self._under_way), CLOSE_PATIENCE.total_seconds())
            gateway.abandon()
            await self._call(CLOSE_PATIENCE, gateway.close)
        self._threads.shutdown(wait=False)

    async def _refresh(self, spec: DatabaseSpec, now: datetime, *, lingering: bool) -> None:
        if lingering and self._gateway is not None:
            return
        if self._request is not None and self._is_fresh(spec, now):
            request = _request(spec, self._request.url)
        else:
            request = _request(spec, await self._current_url(spec))
            self._secret_read_at, self._secret = now, (spec.secret_name, spec.secret_key)
        if request != self._request:
            await self._replace(request)

    def _is_fresh(self, spec: DatabaseSpec, now: datetime) -> bool:
        if self._secret_read_at is None or self._secret != (spec.secret_name, spec.secret_key):
            return False
        return now - self._secret_read_at < self._settings.secret_refresh

    async def _current_url(self, spec: DatabaseSpec) -> str:
        """The URL in the Secret; while the API server does not answer, the one in use."""
        try:
            return await self._read_url(spec)
        except ClusterError as error:
            if self._request is None or self._secret != (spec.secret_name, spec.secret_key):
                raise
            logger.warning("Secret not read", extra={"database": str(self._key), "error": str(error)})
            return self._request.url

    async def _read_url(self, spec: DatabaseSpec) -> str:
        secret = ObjectKey(self._key.namespace, spec.secret_name)
        data = await self._cluster.read_secret(secret)
        if data is None:
            raise UnusableDatabaseError(Reason.SECRET_NOT_FOUND, f"Secret {secret} does not exist")
        if spec.secret_key not in data:
            message = f"Secret {secret} has no key {spec.secret_key!r}"
            raise UnusableDatabaseError(Reason.SECRET_KEY_NOT_FOUND, message)
        try:
            return data[spec.secret_key].decode().strip()
        except UnicodeDecodeError:
            message = f"Secret {secret}, key {spec.secret_key!r}: expected the text of a URL"
            raise UnusableDatabaseError(Reason.INVALID_URL, message) from None

    async def _replace(self, request: GatewayRequest) -> None:
        old, self._gateway, self._request, self.prepared = self._gateway, None, None, None
        if old is not None:
            await self._call(CLOSE_PATIENCE, old.close)
        self._gateway = self._open(request)
        self._request = request
        self._read_patience = READ_PATIENCE + request.connections.statement_timeout

    def _opened(self) -> Gateway:
        if self._gateway is None:
            raise UnusableDatabaseError(Reason.DATABASE_NOT_FOUND, f"DBOSDatabase {self._key} is gone")
        return self._gateway

    async def _call(self, patience: timedelta, function: Callable[..., T], *arguments: object) -> T:
        """Call in a thread. DatabaseUnavailableError when no answer comes in time; the next try connects afresh."""
        work = self._threads.submit(function, *arguments)
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        try:
            async with asyncio.timeout(patience.total_seconds()):
                return await asyncio.wrap_future(work)
        except TimeoutError:
            gateway, self._gateway, self._request, self.prepared = self._gateway, None, None, None
            if gateway is not None:
                gateway.abandon()
                self._threads.submit(gateway.close)
            message = f"the database server has not answered for {patience.total_seconds():g} s"
            raise DatabaseUnavailableError(message) from None


def _request(spec: DatabaseSpec, url: str) -> GatewayRequest:
    return GatewayRequest(
        url=url,
        schema=spec.schema,
        application_name=spec.application_name,
        initialize=spec.initialize is Initialize.IF_EMPTY,
        connections=spec.connections,
    )
