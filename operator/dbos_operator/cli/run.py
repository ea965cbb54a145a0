"""`dbos-operator run`: the operator on a cluster. Builds the object graph, runs it, ends in order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from typing import Any

import click

from dbos_operator.cli.options import (
    ADDRESS,
    DURATION,
    LOG_FORMAT,
    LOG_LEVEL,
    NAMESPACE,
    OBJECT_KEY,
    RunOptions,
    check_default_database,
    choose_namespaces,
    option,
)
from dbos_operator.cluster.client import ApiSession
from dbos_operator.cluster.connection import ConnectionSource
from dbos_operator.cluster.kubernetes_cluster import KubernetesCluster, MissingKindError
from dbos_operator.errors import ClusterConfigurationError
from dbos_operator.loop.desired import DesiredState
from dbos_operator.loop.operator import Operator
from dbos_operator.observability.logs import configure_logging
from dbos_operator.observability.metrics import OperatorMetrics
from dbos_operator.observability.probes import ProbeResult
from dbos_operator.observability.server import AddressInUseError, EndpointServer, metrics_routes, probe_routes
from dbos_operator.settings import OperatorSettings
from dbos_operator.watch.watch import ClusterWatch

logger = logging.getLogger(__name__)

BAD_INPUT = (ClusterConfigurationError, MissingKindError, AddressInUseError)
"""What a person must change before another try can succeed: exit status 2. Anything else is 1."""


@click.command()
@option("--namespace", "namespaces", type=NAMESPACE, multiple=True, help="Watch this namespace; repeatable.")
@option("--all-namespaces", is_flag=True, help="Watch every namespace (the default without --namespace).")
@option("--kubeconfig", metavar="PATH", help="The kubeconfig to use instead of KUBECONFIG or the service account.")
@option("--context", metavar="NAME", help="The context of the kubeconfig.")
@option("--metrics-address", type=ADDRESS, default=":9464", show_default=True, help="Where to serve /metrics.")
@option(
    "--health-address", type=ADDRESS, default=":8080", show_default=True, help="Where to serve /healthz and /readyz."
)
@option("--tick", type=DURATION, default="5s", show_default=True, help="How long the loop sleeps at most.")
@option("--default-database", type=OBJECT_KEY, help="The DBOSDatabase of resources that have none of their own.")
@option("--log-format", type=LOG_FORMAT, default="text", show_default=True, help="How log lines look.")
@option("--log-level", type=LOG_LEVEL, default="info", show_default=True, help="From which level lines are logged.")
@click.pass_context
def run(click_context: click.Context, /, *, namespaces: tuple[str, ...], all_namespaces: bool, **values: Any) -> int:
    """Run the operator against the cluster of a kubeconfig or of the pod's service account."""
    chosen = choose_namespaces(click_context, namespaces, all_namespaces=all_namespaces)
    options = RunOptions(namespaces=chosen, **values)
    check_default_database(click_context, options.default_database, chosen)
    configure_logging(options.log_format, options.log_level)
    try:
        asyncio.run(operate(options))
    except BAD_INPUT as error:
        click.echo(f"dbos-operator: {error}", err=True)
        return 2
    return 0


class StopSignals:
    """SIGTERM and SIGINT, as one event."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    def install(self) -> None:
        """Take the signals (again): kopf puts its own handlers in place whenever it starts."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)

    async def wait(self) -> None:
        """Return once a signal has come."""
        await self._stopped.wait()

    def _stop(self, number: signal.Signals) -> None:
        logger.info("stopping", extra={"signal": number.name})
        self._stopped.set()


async def operate(options: RunOptions) -> None:
    """Run until a signal comes; raise when the operator cannot begin or cannot go on."""
    signals = StopSignals()
    signals.install()
    api = await ApiSession.open(ConnectionSource(kubeconfig=options.kubeconfig, context=options.context))
    cluster = KubernetesCluster(api, namespaces=options.namespaces)
    server = EndpointServer()
    try:
        await run_until_first_ends(work(options, cluster, server, signals), signals.wait())
    finally:
        await server.close()
        await cluster.close()


async def work(options: RunOptions, cluster: KubernetesCluster, server: EndpointServer, signals: StopSignals) -> None:
    """Build the parts, list the cluster, then watch it and act on it. Does not return."""
    desired = DesiredState()
    metrics = OperatorMetrics()
    operator = Operator(desired=desired, cluster=cluster, settings=operator_settings(options), metrics=metrics)
    watch = ClusterWatch(desired, cluster, namespaces=options.namespaces, started=signals.install)

    def live() -> ProbeResult:
        return ProbeResult({"loop": operator.health().problem, "watch": watch.problem})

    def ready() -> ProbeResult:
        return ProbeResult(
            {
                "listing": "" if desired.complete else "the first listing is not complete",
                "loop": "" if operator.health().ready else "the first pass is not done",
                "watch": "" if watch.following else "not following the cluster",
            }
        )

    await serve(server, options, metrics, probe_routes(live=live, ready=ready))
    await watch.prime()
    await cluster.cluster_id()
    logger.info(
        "operator started",
        extra={"server": cluster.api.server, "namespaces": ",".join(options.namespaces) or "all"},
    )
    await run_until_first_ends(operator.run(), watch.run())


def operator_settings(options: RunOptions) -> OperatorSettings:
    """The part of the options that the loop reads."""
    return OperatorSettings(tick=options.tick, default_database=options.default_database, namespaces=options.namespaces)


async def serve(server: EndpointServer, options: RunOptions, metrics: OperatorMetrics, probes: Any) -> None:
    """Listen on the two addresses, or on one when they are the same."""
    figures = metrics_routes(metrics.registry)
    if options.metrics_address == options.health_address:
        await server.listen(options.metrics_address, {**figures, **probes})
    else:
        await server.listen(options.metrics_address, figures)
        await server.listen(options.health_address, probes)


async def run_until_first_ends(*work: Coroutine[Any, Any, None]) -> None:
    """Run side by side until one ends, then end the others; raise what the first one failed with."""
    tasks = [asyncio.create_task(part) for part in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        endings = await asyncio.gather(*tasks, return_exceptions=True)
    for task, ending in zip(tasks, endings, strict=True):
        if task not in done and isinstance(ending, Exception):
            logger.error("failed while ending", exc_info=ending)
    for task in done:
        task.result()
