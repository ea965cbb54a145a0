"""Keeps the desired state equal to the cluster: listed first, then followed, compared now and then.

```
  prime --> follow (kopf) ----failure----> pause --> follow …
              |
              +-- resync by listing: soon after each start of kopf, then every RESYNC_INTERVAL
```
kopf says nothing when a kind has no object and cannot tell what was deleted while a
watch was down; the listings make both exact.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import kopf

from dbos_operator.cluster.connection import Credentials
from dbos_operator.cluster.kubernetes_cluster import KubernetesCluster
from dbos_operator.errors import OperatorError
from dbos_operator.loop.desired import DesiredState
from dbos_operator.watch.intake import Intake
from dbos_operator.watch.kinds import WATCHED, WatchedKind, own_kind
from dbos_operator.watch.registry import build_registry, build_settings

logger = logging.getLogger(__name__)

FIRST_RESYNCS = (3.0, 15.0)
"""Seconds after a start of kopf, and after the resync before: what vanished between our list and kopf's own."""
RESYNC_INTERVAL = 300.0
LONGEST_PAUSE = 30.0


class ClusterWatch:
    """Feeds the desired state from the API server until it is cancelled."""

    def __init__(
        self,
        desired: DesiredState,
        cluster: KubernetesCluster,
        *,
        namespaces: Sequence[str] = (),
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """`started` is called after each start of kopf, which takes over the signal handlers of the process."""
        self._desired = desired
        self._cluster = cluster
        self._namespaces = tuple(namespaces)
        self._started = started
        self._intake = Intake(desired)
        self._given: Credentials | None = None
        self.following = False
        """Whether kopf is running now."""

    async def prime(self) -> None:
        """List every watched kind and say that the desired state is complete."""
        for kind in WATCHED:
            await self._resync_kind(kind)
        self._desired.mark_complete()

    async def run(self) -> None:
        """Follow the cluster; start again, with growing pauses, whenever that fails."""
        pause = 1.0
        while True:
            began = asyncio.get_running_loop().time()
            resyncing = asyncio.create_task(self._resync_regularly(), name="resync")
            try:
                await self._follow()
            except Exception:
                # Whatever kopf died of, the desired state stays as it was and the watch starts over.
                logger.exception("watching the cluster failed; starting again")
            finally:
                self.following = False
                resyncing.cancel()
                await asyncio.gather(resyncing, return_exceptions=True)
            lasted = asyncio.get_running_loop().time() - began
            pause = 1.0 if lasted > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def resync(self) -> int:
        """Compare the desired state with a fresh listing of every kind; return how many objects differed."""
        return sum([await self._resync_kind(kind) for kind in WATCHED])

    async def _follow(self) -> None:
        """Run kopf in this event loop until one of its tasks ends; none of them ever should."""
        self._given = None
        tasks = await kopf.spawn_tasks(
            registry=build_registry(self._intake, self._log_in),
            settings=build_settings(),
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            standalone=True,
        )
        self._started()
        self.following = True
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        failures = [error for task in done if not task.cancelled() and (error := task.exception()) is not None]
        if failures:
            raise failures[0]
        logger.warning("watching the cluster ended; starting again")

    async def _resync_regularly(self) -> None:
        for pause in _resync_pauses():
            await asyncio.sleep(pause)
            try:
                differed = await self.resync()
            except OperatorError as error:
                logger.warning("the cluster could not be listed; the watch goes on", extra={"error": str(error)})
            else:
                if differed:
                    logger.info("resync found what the watch had not told yet", extra={"objects": differed})

    async def _resync_kind(self, kind: WatchedKind) -> int:
        with self._intake.listing(kind) as listing:
            return listing.apply(await self._list(kind))

    async def _list(self, watched: WatchedKind) -> Sequence[Mapping[str, Any]]:
        own = own_kind(watched)
        if own is None:
            return await self._cluster.list_workloads(watched.kind)
        return await self._cluster.list_resources(own)

    async def _log_in(self) -> Credentials:
        """What kopf asks for at its start, and again when the server has refused what it was given."""
        if self._given is None:
            self._given = self._cluster.api.credentials()
        else:
            self._given = await self._cluster.api.reload_credentials(self._given)
        return self._given


def _resync_pauses() -> Iterator[float]:
    yield from FIRST_RESYNCS
    while True:
        yield RESYNC_INTERVAL
