"""The operator: finds the database of every resource, and keeps one loop per database going."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from dbos_operator.cluster.protocol import Cluster
from dbos_operator.decide.databases import Stray, find_twins
from dbos_operator.errors import OperatorError
from dbos_operator.gateway.postgres import open_gateway as open_postgres
from dbos_operator.loop.access import OpenGateway
from dbos_operator.loop.activity import Activity, LoopHealth, add_up
from dbos_operator.loop.database_loop import DatabaseLoop
from dbos_operator.loop.desired import DesiredState
from dbos_operator.loop.failure import let_go, stray_draft, stray_notice
from dbos_operator.loop.parts import Clock, LoopParts, utc_now
from dbos_operator.loop.reporter import Reporter
from dbos_operator.loop.world import World, fingerprint
from dbos_operator.observability.metrics import OperatorMetrics
from dbos_operator.resources.identity import ClusterId, ObjectKey, Uid
from dbos_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")

STUCK_AFTER_SECONDS = 120.0
"""A pass ends long before, whatever fails in it: every call has a time limit."""
LOOK_AGAIN_SECONDS = 20.0
"""How long a database waits for older ones to find out where they arrive."""


@dataclass(slots=True)
class _Running:
    loop: DatabaseLoop
    task: asyncio.Task[None]
    fingerprint: object


class Operator:
    """What `dbos-operator run` and `dbos-operator local` start."""

    def __init__(
        self,
        *,
        desired: DesiredState,
        cluster: Cluster,
        settings: OperatorSettings,
        metrics: OperatorMetrics,
        open_gateway: OpenGateway = open_postgres,
        clock: Clock = utc_now,
    ) -> None:
        self._desired = desired
        self._cluster = cluster
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._open_gateway = open_gateway
        self._changed = asyncio.Event()
        self._world: World | None = None
        self._loops: dict[ObjectKey, _Running] = {}
        self._looked = False
        self._ready = False
        self._pulse = time.monotonic()

    async def run(self) -> None:
        """Work until cancelled; every loop has ended and every connection is closed when this returns.

        Nothing is decided before the first listing of every kind is complete.
        """
        self._desired.subscribe(self._changed.set)
        self._changed.set()
        reporter = Reporter(self._cluster, self._settings)
        parts = LoopParts(
            cluster=self._cluster,
            reporter=reporter,
            settings=self._settings,
            metrics=self._metrics,
            open_gateway=self._open_gateway,
            clock=self._clock,
        )
        try:
            while True:
                self._pulse = time.monotonic()
                try:
                    await self._look(parts)
                except OperatorError as error:
                    logger.warning("cluster not usable", extra={"error": str(error)})
                except Exception:  # the boundary of the task: the next look may well succeed
                    logger.exception("a look at the resources failed")
                await self._next_change()
        finally:
            await self._stop(list(self._loops))

    def health(self) -> LoopHealth:
        """Whether every loop moves, and whether each has looked at its database once."""
        now = time.monotonic()
        limit = STUCK_AFTER_SECONDS + self._settings.tick.total_seconds()
        pulses = {"the resources": self._pulse, **{str(key): found.loop.pulse for key, found in self._loops.items()}}
        stuck = sorted(name for name, pulse in pulses.items() if now - pulse > limit)
        problem = f"no pass for {limit:g} s: {', '.join(stuck)}" if stuck else ""
        if self._looked and all(found.loop.passes > 0 for found in self._loops.values()):
            self._ready = True  # for good: a database that joins later is no reason to leave the Service
        return LoopHealth(problem=problem, ready=self._ready)

    def activity(self) -> Activity:
        """The work of all databases as of their last passes."""
        return add_up(
            (found.loop.activity for found in self._loops.values()),
            failed_total=self._metrics.failed_total,
            settled=self._looked
            and not self._changed.is_set()
            and all(found.loop.settled for found in self._loops.values()),
        )

    async def _look(self, parts: LoopParts) -> None:
        """Give every database its loop and its share of the resources; tell resources that have no database."""
        self._changed.clear()
        if not self._desired.complete:
            return
        world = await self._known_world()
        self._find_twins(world)
        wanted = world.databases()
        await self._stop([key for key in self._loops if key not in wanted])
        for key in world.databases():  # one may have gone while loops ended
            self._start_or_wake(key, world, parts)
        await self._report_strays(world, parts)
        databases = world.now().snapshot.databases.values()
        parts.reporter.forget(world.now().living | {Uid(found.identity.uid) for found in databases})
        self._looked = True

    async def _known_world(self) -> World:
        if self._world is None:
            cluster_id: ClusterId = await self._cluster.cluster_id()
            self._world = World(self._desired, self._settings.default_database, cluster_id)
        return self._world

    def _start_or_wake(self, key: ObjectKey, world: World, parts: LoopParts) -> None:
        assignment = world.assignment(key)
        if assignment is None:
            return
        mark = fingerprint(assignment)
        running = self._loops.get(key)
        if running is None or running.task.done():
            reached = partial(self._reached, key, world)
            loop = DatabaseLoop(key, source=partial(world.assignment, key), parts=parts, reached=reached)
            self._loops[key] = _Running(loop, asyncio.create_task(loop.run(), name=f"database {key}"), mark)
        elif running.fingerprint != mark:
            running.fingerprint = mark
            running.loop.wake()

    async def _reached(self, key: ObjectKey, world: World) -> None:
        """Find out whether an older DBOSDatabase works what this one has reached.

        Each older one looks first where it arrives itself: at a start, and after a restart of the server, which makes
        its database another one, the younger may be there before it. One that hangs is not waited for for long.
        """
        databases = world.now().snapshot.databases
        if key in databases:
            await self._look_again(
                found.loop
                for other, found in self._loops.items()
                if other in databases and databases[other].identity.precedence < databases[key].identity.precedence
            )
        self._find_twins(world)

    async def _look_again(self, loops: Iterable[DatabaseLoop]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                await asyncio.gather(*(loop.look_again() for loop in loops))

    def _find_twins(self, world: World) -> None:
        """Of DBOSDatabases that turn out to be the same one only the oldest works."""
        gone = set(self._loops) - set(world.now().snapshot.databases)
        twins = find_twins(
            {
                key: found.loop.reached
                for key, found in self._loops.items()
                if found.loop.reached is not None and key not in gone
            }
        )
        changed = {key for key in {*twins, *world.twins} if twins.get(key) != world.twins.get(key)}
        world.twins = twins
        for key in changed:
            if key in self._loops:
                self._loops[key].loop.wake()

    async def _report_strays(self, world: World, parts: LoopParts) -> None:
        strays = world.now().resolution.strays
        now = self._clock()
        current: list[Stray] = [stray for stray in strays if stray.resource.identity.deleting_since is None]
        told = (stray_notice(stray, parts.reporter) for stray in current)
        await parts.reporter.report(
            [stray_draft(stray, parts.reporter, now) for stray in current],
            [notice for notice in told if notice is not None],
            now,
        )
        leaving = [stray.child for stray in strays if stray.child is not None]
        await let_go(leaving, self._cluster, parts.reporter, "its database cannot be found", now)

    async def _stop(self, keys: list[ObjectKey]) -> None:
        for key in keys:
            self._loops[key].task.cancel()
        await asyncio.gather(*(self._loops[key].task for key in keys), return_exceptions=True)
        for key in keys:
            del self._loops[key]
            self._metrics.drop_database(str(key))

    async def _next_change(self) -> None:
        try:
            async with asyncio.timeout(self._settings.tick.total_seconds()):
                await self._changed.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._settings.coalesce.total_seconds())
