"""`dbos-operator local`: operator and workers without a cluster. Builds the object graph, runs it, ends in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from dbos_operator.cli.options import ADDRESS, DURATION, ManifestPath, option
from dbos_operator.errors import OperatorError
from dbos_operator.local.cluster import LocalCluster
from dbos_operator.local.databases import Databases
from dbos_operator.local.manifests import check_not_empty, load_manifests
from dbos_operator.local.output import Output
from dbos_operator.local.schemas import load_schemas
from dbos_operator.local.state import StateFolder
from dbos_operator.local.watching import follow_folder, follow_pod_files, wait_until
from dbos_operator.loop.desired import DesiredState
from dbos_operator.loop.operator import Operator
from dbos_operator.observability.address import Address
from dbos_operator.observability.logs import LogFormat, configure_logging
from dbos_operator.observability.metrics import OperatorMetrics
from dbos_operator.observability.probes import ProbeResult
from dbos_operator.observability.server import EndpointServer, Routes, metrics_routes, probe_routes
from dbos_operator.settings import OperatorSettings

SOURCE = "dbos-operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """What `dbos-operator local` was asked for, checked."""

    paths: tuple[Path, ...]
    database: str | None
    until_idle: bool
    duration: timedelta | None
    metrics_address: Address
    tick: timedelta


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH…", type=ManifestPath())
@option("--database", metavar="URL", help="The PostgreSQL that every DBOSDatabase of the folder means.")
@option("--until-idle", is_flag=True, help="End when no workflow is left to run; status 1 when one failed.")
@option("--duration", type=DURATION, help="End after this long.")
@option(
    "--metrics-address",
    type=ADDRESS,
    default="127.0.0.1:0",
    show_default="a free port of 127.0.0.1",
    help="Where to serve /metrics, /healthz and /readyz.",
)
@option("--tick", type=DURATION, default="1s", show_default=True, help="How long the loop sleeps at most.")
def local(**values: Any) -> int:
    """Run the operator and the workers of YAML files or folders on this machine, without a cluster.

    Saving a file is `kubectl apply`. Deployments run as local processes; each
    pod has a file in .dbos/pods, and removing it deletes the pod by force.
    """
    options = LocalOptions(**values)
    configure_logging(LogFormat.TEXT, "warning")
    try:
        return asyncio.run(operate(options))
    except BadInputError as error:
        click.echo(f"dbos-operator local: {error}", err=True)
        return 2


class BadInputError(OperatorError):
    """What a person must change before another try can succeed."""


class StopSignals:
    """SIGTERM and SIGINT: the first one drains the workers, the second one kills them."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.kill = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)

    def _stop(self) -> None:
        (self.kill if self.drain.is_set() else self.drain).set()


async def operate(options: LocalOptions) -> int:
    """Run until there is a reason to end, and return the exit status. Raises BadInputError before anything runs."""
    signals = StopSignals()
    run = LocalRun(options, Output(sys.stdout, now=datetime.now))
    try:
        try:
            await run.begin()
        except OperatorError as error:
            raise BadInputError(str(error)) from error
        return await run.go(signals)
    finally:
        await run.end(signals)


class LocalRun:
    """One run of a folder: begin, go, end, in this order."""

    def __init__(self, options: LocalOptions, output: Output) -> None:
        self._options = options
        self._output = output
        self._resources = AsyncExitStack()
        self._metrics = OperatorMetrics()
        self._desired = DesiredState()
        self._cluster: LocalCluster | None = None

    async def begin(self) -> None:
        """Check everything that a person could have got wrong, then take in the folder."""
        options = self._options
        self._schemas = load_schemas()
        manifests = load_manifests(options.paths, self._schemas)
        check_not_empty(manifests, options.paths)
        self._state = StateFolder(options.paths)
        self._resources.enter_context(self._state.lock())
        databases = Databases(self._state.postgres, options.database)
        self._resources.push_async_callback(databases.close)
        await databases.prepare(manifests)
        await databases.probe(manifests)
        server = EndpointServer()
        self._resources.push_async_callback(server.close)
        self._cluster = LocalCluster(
            desired=self._desired,
            databases=databases,
            state=self._state,
            output=self._output,
            now=lambda: datetime.now(UTC),
            environment=os.environ,
        )
        self._resources.push_async_callback(self._cluster.close)
        self._operator = Operator(
            desired=self._desired,
            cluster=self._cluster,
            # Counted at every pass: the status of --until-idle depends on it, and here it costs little.
            settings=OperatorSettings(tick=options.tick, sample=options.tick),
            metrics=self._metrics,
        )
        used = await server.listen(options.metrics_address, self._routes())
        self._output.line(SOURCE, f"metrics on http://{used}/metrics, state in {self._state.path}")
        self._state.write_urls(databases.embedded_urls())
        for secret, url in databases.embedded_urls().items():
            self._output.line(SOURCE, f"database of Secret {secret}: {url}")
        for line in manifests.ignored:
            self._output.line("folder", line)
        await self._cluster.apply(manifests)

    async def go(self, signals: StopSignals) -> int:
        """Run until a signal, the duration, or idleness; return the exit status."""
        assert self._cluster is not None
        options = self._options
        services = [
            asyncio.create_task(self._operator.run(), name="operator"),
            asyncio.create_task(
                follow_folder(options.paths, self._schemas, self._cluster, self._output), name="folder"
            ),
            asyncio.create_task(follow_pod_files(self._state.pods, self._cluster), name="pod files"),
        ]
        signalled = asyncio.create_task(signals.drain.wait())
        idle = asyncio.create_task(wait_until(self._is_idle)) if options.until_idle else None
        ends = [*services, signalled, *([idle] if idle else [])]
        seconds = options.duration.total_seconds() if options.duration else None
        try:
            done, _ = await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            # The operator forgets its figures when it ends.
            failed = self._operator.activity().failed_total
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        for task in done:
            task.result()
        return self._status(signalled=signalled in done, idle=idle in done, failed=failed)

    async def end(self, signals: StopSignals) -> None:
        """Let the workers finish, then give everything back. A second signal kills the workers."""
        if self._cluster is not None:
            drained = asyncio.create_task(self._cluster.workloads.drain())
            killed = asyncio.create_task(signals.kill.wait())
            await asyncio.wait((drained, killed), return_when=asyncio.FIRST_COMPLETED)
            if not drained.done():
                await self._cluster.workloads.kill()
            killed.cancel()
            await drained
        await self._resources.aclose()

    def _is_idle(self) -> bool:
        assert self._cluster is not None
        return self._operator.activity().idle and self._cluster.settled

    def _status(self, *, signalled: bool, idle: bool, failed: int) -> int:
        if signalled:
            self._output.line(SOURCE, "stopping")
            return 0
        if idle:
            self._output.line(SOURCE, f"idle; {failed} workflow(s) failed")
            return 1 if failed else 0
        self._output.line(SOURCE, "the time is up")
        # Who asked for both wanted idleness within this time.
        return 1 if self._options.until_idle else 0

    def _routes(self) -> Routes:
        def live() -> ProbeResult:
            return ProbeResult({"loop": self._operator.health().problem})

        def ready() -> ProbeResult:
            return ProbeResult({"folder": "" if self._desired.complete else "not read yet"})

        return {**metrics_routes(self._metrics.registry), **probe_routes(live=live, ready=ready)}
