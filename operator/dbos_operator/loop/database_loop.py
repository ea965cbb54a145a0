"""One loop per DBOSDatabase: observe, decide, apply, report; then sleep until something is due.

wait --woken, tick or due time--> observe --> decide --> apply --> report --+
  ^                                  |                                      |
  |                                  +--database fails--> say so, pause ----+
  +-------------------------------------------------------------------------+
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from dbos_operator.decide.child import Situation
from dbos_operator.decide.databases import Reached
from dbos_operator.decide.firing import Clockwork
from dbos_operator.decide.ownership import Census
from dbos_operator.decide.plan import decide_rows
from dbos_operator.decide.recovery import decide_executors
from dbos_operator.errors import OperatorError, UnusableDatabaseError
from dbos_operator.loop.access import DatabaseAccess
from dbos_operator.loop.activity import Activity
from dbos_operator.loop.apply import apply_plan
from dbos_operator.loop.assignment import Assignment
from dbos_operator.loop.failure import failure_drafts, failure_notices, let_go
from dbos_operator.loop.figures import activity_of, record_figures
from dbos_operator.loop.next_runs import NextRuns
from dbos_operator.loop.observe import Observed, observe_pods, observe_request, see, workloads_to_list
from dbos_operator.loop.parts import LoopParts
from dbos_operator.loop.report import Pass, drafts, is_held, notices
from dbos_operator.loop.sampler import Sampler
from dbos_operator.loop.scale import apply_scaling, decide_targets
from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import ObjectKey, TargetRef, Uid
from dbos_operator.scaling.demand import INTERNAL_QUEUE
from dbos_operator.scaling.history import ScalingHistory

logger = logging.getLogger(__name__)

_A_MOMENT = timedelta(milliseconds=2)
"""A timer may ring a little early; what is due then would be missed until the next tick."""


_SHORTEST_SLEEP = 0.01


class DatabaseLoop:
    """Brings one system database and its workers in line with the resources, again and again."""

    def __init__(
        self,
        key: ObjectKey,
        *,
        source: Callable[[], Assignment | None],
        parts: LoopParts,
        reached: Callable[[], Awaitable[None]],
    ) -> None:
        """`source` gives what is wanted now, None when nothing is any more: the loop will be ended.

        `reached` is called, and waited for, when it turns out which database this is.
        """
        self.key = key
        self._source = source
        self._notify_reached = reached
        self._parts = parts
        self._access = DatabaseAccess(key, parts.cluster, parts.settings, parts.open_gateway)
        self._sampler = Sampler(str(key), self._access, parts.metrics, parts.settings.sample)
        self._sampling: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._next_due: datetime | None = None
        self._observed = Observed()
        self._clockworks: dict[Uid, Clockwork] = {}
        self._histories: dict[TargetRef, ScalingHistory] = {}
        self._next_runs = NextRuns()
        self.reached: Reached | None = None
        """Which database the URL arrived at; None while it is not known."""
        self._tried = asyncio.Event()
        """Set while nobody waits for another try to reach it."""
        self._ended = False
        self.activity = Activity(settled=False)
        self._complaint = ""
        """What was last said of a database that cannot be used."""
        self.passes = 0
        """Passes that came to an end, failed ones included."""
        self.pulse = time.monotonic()

    def wake(self) -> None:
        """Have a pass soon; what wakes within the next moment shares it."""
        self._wake.set()

    async def look_again(self) -> None:
        """Return once the loop has tried anew to find out which database it works, or has ended."""
        if self._tried.is_set() and not self._ended:
            self._tried.clear()
            self._access.look_again()
            self.wake()
        await self._tried.wait()

    @property
    def settled(self) -> bool:
        """Whether the last pass saw the last change."""
        return self.activity.settled and not self._wake.is_set()

    async def run(self) -> None:
        """Pass after pass until cancelled. An error that nobody foresaw costs one pass, not the loop."""
        try:
            while True:
                try:
                    await self.tick()
                except Exception:  # the boundary of the task: the next pass may well succeed
                    logger.exception("a pass failed", extra={"database": str(self.key)})
                    self._next_due = None
                self.passes += 1
                await self._sleep()
        finally:
            await self._close()

    async def tick(self) -> None:
        """One pass.

        Three statements read, whatever the number of objects; nothing is written
        when nothing differs. A failed read holds what is: unknown is never zero.
        """
        now, began = self._parts.clock(), time.monotonic()
        self.pulse = began
        assignment = self._source()
        if assignment is None:
            self._next_due = None
            return
        try:
            assignment = await self._reach(assignment, now)
            done = await self._work(assignment, now)
        except OperatorError as error:
            await self._fail(assignment, error, now)
            return
        self._access.succeeded()
        if self._complaint:
            self._complaint = ""
            logger.info("database usable again", extra={"database": str(self.key)})
        self._remember(done)
        await self._parts.reporter.report(drafts(done, self._next_runs), notices(done, self._parts.reporter), now)
        await self._let_queues_go(done)
        record_figures(done, self._clockworks, self._parts.metrics, time.monotonic() - began)
        await self._sample(done)
        self.activity = activity_of(done)

    async def _reach(self, assignment: Assignment, now: datetime) -> Assignment:
        """Get at the database, and find out whether another DBOSDatabase works it already."""
        try:
            prepared = await self._access.ensure(assignment.spec, now, lingering=assignment.gone)
            reached = Reached(prepared.identity, assignment.database.identity.precedence)
            if reached != self.reached:
                self.reached = reached
                await self._notify_reached()
                assignment = self._source() or assignment
        finally:
            self._tried.set()
        if assignment.twin_of is not None:
            message = (
                f"DBOSDatabase {assignment.twin_of} is older and works this database and schema; "
                f"name it in databaseRef instead"
            )
            raise UnusableDatabaseError(Reason.SAME_DATABASE, message)
        return assignment

    async def _work(self, assignment: Assignment, now: datetime) -> Pass:
        """Observe, decide and apply."""
        cluster, limit = self._parts.cluster, self._parts.reporter.limit
        observation = await self._access.observe(observe_request(assignment, self._observed))
        workloads = workloads_to_list(assignment, observation.rows)
        observed = see(observation, workloads, await observe_pods(cluster, workloads, limit), assignment)
        plan = decide_rows(
            assignment.view, assignment.invalid, assignment.living, self._situation(assignment, observed, now)
        )
        recovery = assignment.spec.recovery
        executors = decide_executors(
            observed.rows.executors,
            observed.sightings,
            observed.rows.running,
            assignment.cluster_id,
            now,
            grace=recovery.grace_period if recovery.enabled else None,
        )
        scaling = decide_targets(plan.children, observed, assignment, self._histories, now)
        outcome = await apply_plan(plan, executors.changes, self._access, cluster, limit)
        scaling = await apply_scaling(scaling, observed, cluster, now)
        dues = [due for due in (plan.next_due, executors.next_due, scaling.next_due) if due is not None]
        return Pass(
            assignment=assignment,
            observed=observed,
            plan=plan,
            outcome=outcome,
            scaling=scaling,
            depths=self._sampler.depths,
            now=now,
            next_due=min(dues, default=None),
        )

    def _situation(self, assignment: Assignment, observed: Observed, now: datetime) -> Situation:
        busy = (name for name, demand in observed.demand.items() if demand.runnable or demand.running)
        return Situation(
            database=assignment.spec,
            observed=observed.rows,
            census=Census(
                cluster_id=assignment.cluster_id,
                application_name=assignment.spec.application_name,
                namespaces=self._parts.settings.namespaces,
                silent=frozenset(child.identity.uid for child in assignment.invalid),
            ),
            now=now,
            clockworks=self._clockworks,
            busy_queues=frozenset(busy),
        )

    async def _let_queues_go(self, done: Pass) -> None:
        """Let go of queues that wait to be empty where their workers are going as well."""
        waiting = [child.resource for child in done.plan.children if is_held(child, done.outcome)]
        why = "the queue is not empty, and its namespace goes"
        await let_go(waiting, self._parts.cluster, self._parts.reporter, why, done.now, reachable=True)

    def _remember(self, done: Pass) -> None:
        self._observed = done.observed
        held = {uid: clockwork for uid, clockwork in self._clockworks.items() if uid in done.outcome.unfired}
        self._clockworks = {**done.plan.clockworks, **held}
        self._histories = done.scaling.histories
        self._next_due = done.next_due
        self._next_runs.forget(done.assignment.living)
        if done.outcome.fired or done.outcome.recovered:
            self.wake()  # there is new demand, and only the next look counts it

    async def _fail(self, assignment: Assignment, error: OperatorError, now: datetime) -> None:
        """Say what is wrong, hold everything, and let go of what has waited too long."""
        if self._access.breaker.holds(now) is None:
            if str(error) != self._complaint:  # what lasts is said once
                self._complaint = str(error)
                logger.warning("database not usable", extra={"database": str(self.key), "error": str(error)})
            self._access.failed(error, now)
        self._next_due = self._access.breaker.open_until
        self.activity = Activity(settled=False)
        reporter, metrics = self._parts.reporter, self._parts.metrics
        metrics.set_database_up(str(self.key), up=False)
        if not assignment.gone:
            told = failure_notices(assignment, error, reporter)
            await reporter.report(failure_drafts(assignment, error, reporter, now), told, now)
        await let_go(assignment.view.children, self._parts.cluster, reporter, str(error), now)

    async def _sample(self, done: Pass) -> None:
        """Count for the metrics beside the passes, but at once when the work has just come to its end."""
        names = {*done.observed.demand, INTERNAL_QUEUE}
        found = activity_of(done)
        ended = not (found.runnable or found.running) and (self.activity.runnable or self.activity.running)
        if ended or self._parts.settings.sample <= self._parts.settings.tick:
            await self._sampler.take(names, done.now)
        elif self._sampler.is_due(done.now) and (self._sampling is None or self._sampling.done()):
            self._sampling = asyncio.create_task(self._sampler.take(names, done.now))

    async def _sleep(self) -> None:
        """Wait for a change, a due time or the tick; changes of one moment are taken together."""
        seconds = self._parts.settings.tick.total_seconds()
        if self._next_due is not None:
            due = (self._next_due + _A_MOMENT - self._parts.clock()).total_seconds()
            seconds = min(seconds, max(due, _SHORTEST_SLEEP))
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._parts.settings.coalesce.total_seconds())
        self._wake.clear()

    async def _close(self) -> None:
        self._ended = True
        self._tried.set()
        if self._sampling is not None:
            self._sampling.cancel()
        await self._access.close()
