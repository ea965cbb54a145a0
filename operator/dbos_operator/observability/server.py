"""The operator's own HTTP endpoints: `/metrics`, `/healthz` and `/readyz`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from dbos_operator.errors import OperatorError
from dbos_operator.observability.address import Address
from dbos_operator.observability.probes import ProbeResult

logger = logging.getLogger(__name__)

Probe = Callable[[], ProbeResult]
Handler = Callable[[web.Request], Awaitable[web.Response]]
Routes = Mapping[str, Handler]


class AddressInUseError(OperatorError):
    """An address that another process holds, or that this machine does not have."""


def metrics_routes(registry: CollectorRegistry) -> Routes:
    """`/metrics` in the text format of Prometheus."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return {"/metrics": metrics}


def probe_routes(*, live: Probe, ready: Probe) -> Routes:
    """`/healthz` and `/readyz`: 200 or 503, and which check failed."""

    def answer(probe: Probe) -> Handler:
        async def handle(_: web.Request) -> web.Response:
            result = probe()
            return web.Response(text=result.text(), status=result.status)

        return handle

    return {"/healthz": answer(live), "/readyz": answer(ready)}


class EndpointServer:
    """Listens until it is closed."""

    def __init__(self) -> None:
        self._runners: list[web.AppRunner] = []

    async def listen(self, address: Address, routes: Routes) -> Address:
        """Serve the routes and return the address in use, its port filled in."""
        application = web.Application()
        for path, handler in routes.items():
            application.router.add_get(path, handler)
        # Signals and access logs belong to the process, not to its endpoints.
        runner = web.AppRunner(application, handle_signals=False, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, address.host or None, address.port)
        try:
            await site.start()
        except OSError as error:
            raise AddressInUseError(f"cannot listen on {address}: {error.strerror or error}") from error
        used = Address(address.host, runner.addresses[0][1])
        logger.info("listening", extra={"address": str(used), "paths": " ".join(routes)})
        return used

    async def close(self) -> None:
        """Stop listening; answers under way get a moment to finish."""
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))
        self._runners.clear()
