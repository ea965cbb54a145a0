"""Keeps the desired state equal to the cluster: listed first, then followed, compared now and then.

```
  prime --> follow (kopf) --ended, or a resync finds it deaf--> pause --> follow …
              |
              +-- resync by listing: soon after each start of kopf, then every RESYNC_INTERVAL
```
kopf says nothing when a kind has no object, cannot tell what was deleted while a watch was
down, and watches nothing of a kind that the API server did not name when kopf began. The
listings make the desired state right in each case, and find out when kopf must start over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import kopf

from dbos_operator.cluster.connection import Credentials
from dbos_operator.cluster.kubernetes_cluster import KubernetesCluster
from dbos_operator.errors import OperatorError
from dbos_operator.loop.desired import DesiredState
from dbos_operator.watch.intake import Intake, Listing
from dbos_operator.watch.kinds import WATCHED, WatchedKind, own_kind
from dbos_operator.watch.registry import build_registry, build_settings

logger = logging.getLogger(__name__)

FIRST_RESYNCS = (3.0, 15.0)
"""Seconds after a start of kopf, and after the resync before: what vanished between our list and kopf's own."""
RESYNC_INTERVAL = 300.0
HEARING_TIME = 10.0
"""Seconds that the watch may be behind a listing before it counts as deaf."""
LONGEST_PAUSE = 30.0
LOST_AFTER = 180.0
"""Seconds without a running kopf after which a new process is the better cure."""
DISCOVERY_PAUSE = 0.5


class DeafWatchError(OperatorError):
    """The watch does not tell what a listing shows."""


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
        self._lost_at = time.monotonic()
        self.following = False
        """Whether kopf is running now."""

    @property
    def problem(self) -> str:
        """Empty while the cluster is followed, or was a moment ago."""
        lost = 0.0 if self.following else time.monotonic() - self._lost_at
        return f"the cluster has not been followed for {lost:.0f} s" if lost > LOST_AFTER else ""

    async def prime(self) -> None:
        """List every watched kind and say that the desired state is complete."""
        with ExitStack() as stack:
            await self._compare(stack)
        self._desired.mark_complete()

    async def run(self) -> None:
        """Follow the cluster; start again, with growing pauses, whenever that fails."""
        loop = asyncio.get_running_loop()
        pause = 0.5
        while True:
            began = loop.time()
            try:
                await self._follow()
            except (OperatorError, kopf.LoginError) as error:
                logger.warning("watching the cluster starts over", extra={"error": str(error)})
            except Exception:
                # Whatever kopf died of, the desired state stays as it was and the watch starts over.
                logger.exception("watching the cluster failed and starts over")
            pause = 0.5 if loop.time() - began > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def resync(self) -> frozenset[str]:
        """Correct the desired state by a listing of every kind, and name what the watch did not tell in time."""
        with ExitStack() as stack:
            listings = await self._compare(stack)
            if any(listing.untold for listing in listings):
                await asyncio.sleep(HEARING_TIME)
            return frozenset(f"{listing.kind} {key}" for listing in listings for key in listing.untold)

    async def _follow(self) -> None:
        """Run kopf in this event loop until one of its tasks ends, which none should, or it turns out to be deaf."""
        await self._await_discovery()
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
        tasks = [*tasks, asyncio.create_task(self._resync_regularly(), name="resync")]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.following = False
            self._lost_at = time.monotonic()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            if not task.cancelled():
                task.result()
        raise DeafWatchError("a task of the watch ended")

    async def _resync_regularly(self) -> None:
        for pause in _resync_pauses():
            await asyncio.sleep(pause)
            try:
                untold = await self.resync()
            except OperatorError as error:
                logger.warning("the cluster could not be listed; the watch goes on", extra={"error": str(error)})
                continue
            if untold:
                raise DeafWatchError(f"the watch did not tell of {len(untold)} changes, such as {min(untold)}")

    async def _compare(self, stack: ExitStack) -> list[Listing]:
        """List and apply every kind; the listings stay open as long as the stack does."""
        listings = [stack.enter_context(self._intake.listing(kind)) for kind in WATCHED]
        for listing in listings:
            listing.apply(await self._list(listing.kind))
        return listings

    async def _list(self, watched: WatchedKind) -> Sequence[Mapping[str, Any]]:
        own = own_kind(watched)
        if own is None:
            return await self._cluster.list_workloads(watched.kind)
        return await self._cluster.list_resources(own)

    async def _await_discovery(self) -> None:
        """Wait until the API server names every kind: kopf asks once, and one that just started knows few."""
        while missing := await self._cluster.missing_groups({kind.group for kind in WATCHED}):
            logger.warning("the API server does not serve every kind yet", extra={"missing": " ".join(missing)})
            await asyncio.sleep(DISCOVERY_PAUSE)

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
