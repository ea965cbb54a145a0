"""Runs workflows in the background: claimed from queues, or started by the application.

claimed -> dead letter?  -> MAX_RECOVERY_ATTEMPTS_EXCEEDED
        -> no function?  -> put back, its name left to other processes for a while
        -> no arguments? -> ERROR
        -> run in a thread (or on the event loop) -> outcome handed to the writer -> slot free
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from dbos._error import MaxRecoveryAttemptsExceededError
from dbos.core.outcome import Outcome
from dbos.engine.authorization import authentication_of_row
from dbos.engine.commands import Started
from dbos.engine.context import Execution
from dbos.engine.event_loop import EventLoopThread
from dbos.engine.execution import (
    execute,
    is_refused,
    load_checkpoints,
    note_end,
    note_start,
    outcome_record,
    run_function,
    unstorable,
)
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.plan import Plan, Read
from dbos.engine.registry import Call, Registry, WorkflowFunction
from dbos.engine.services import Services
from dbos.engine.threads import WorkerThreads
from dbos.serialization.arguments import restore_times
from dbos.serialization.decoding import UndecodableError, decode_inputs
from dbos.serialization.encoding import PORTABLE_JSON
from dbos.store.dequeue import bury_workflow, release_workflows
from dbos.store.operation import DatabaseClosedError
from dbos.store.rows import ClaimedWorkflow, OutcomeRecord
from dbos.telemetry import WorkflowUndispatchable

logger = logging.getLogger("dbos")


class ClaimedTask:
    """A claimed workflow that waits for a thread."""

    def __init__(self, claimed: ClaimedWorkflow, run: Callable[[ClaimedWorkflow], None]) -> None:
        self.claimed = claimed
        self._run = run

    def __call__(self) -> None:
        self._run(self.claimed)


class StartedTask:
    """A started workflow that waits for a thread, and the future of its outcome."""

    def __init__(self, plan: Plan[Outcome], services: Services) -> None:
        self.outcome: Future[Outcome] = Future()
        self._plan = plan
        self._services = services

    def __call__(self) -> None:
        try:
            self.outcome.set_result(run_blocking(self._plan, self._services))
        except BaseException as error:  # noqa: BLE001 -- the thread's boundary: the handle must be answered
            self.outcome.set_exception(error)

    def abandon(self) -> None:
        """Never run it: the workflow is recovered by the next process."""
        self._plan.close()
        self.outcome.set_exception(DatabaseClosedError())


class Executor:
    """The threads and the event loop of one process."""

    def __init__(self, services: Services, registry: Registry, *, max_threads: int | None) -> None:
        self._services = services
        self._registry = registry
        self.threads = WorkerThreads(most=max_threads)
        self.loop = EventLoopThread()
        self._active = 0
        self.begun = 0
        """How many workflows were taken on so far."""
        self._tasks: set[asyncio.Task[Outcome]] = set()
        """What runs on loops of the application: a loop itself keeps no task alive."""
        self._quiet = threading.Condition(threading.Lock())
        self.on_end: Callable[[ClaimedWorkflow], None] = lambda _workflow: None
        """Called with a claimed workflow that no longer runs here."""
        self.on_unknown: Callable[[str], None] = lambda _key: None
        """Called with the key of a function that is not here."""

    def dispatch(self, claimed: list[ClaimedWorkflow]) -> None:
        """Run claimed workflows, in the order given."""
        unknown: list[ClaimedWorkflow] = []
        tasks: list[ClaimedTask] = []
        for workflow in claimed:
            try:
                self._registry.target_of(workflow.name, workflow.class_name, workflow.config_name)
            except LookupError:
                unknown.append(workflow)
                continue
            self._begin()
            if self._registry.workflows[workflow.name].is_async:
                self.loop.run(self._run_claimed_on_loop(workflow))
            else:
                tasks.append(ClaimedTask(workflow, self._run_claimed))
        self.threads.submit(*tasks)
        if unknown:
            self._refuse_unknown(unknown)

    def start(self, call: Call, started: Started) -> Future[Outcome]:
        """Run a workflow that was just inserted, in the background; its outcome once recorded."""
        execution = started.execution
        assert execution is not None
        note_start(self._services, execution)
        self._begin()
        plan = execute(self._services, call, execution, contain=True)
        if call.workflow.is_async:
            future: Future[Outcome] = self.loop.run(run_on_loop(plan, self._services))
        else:
            task = StartedTask(plan, self._services)
            future = task.outcome
            self.threads.submit(task)
        future.add_done_callback(lambda _future: self._end())
        return future

    def start_here(self, call: Call, started: Started) -> asyncio.Task[Outcome]:
        """Run a coroutine workflow that was just inserted, as a task of the running loop."""
        execution = started.execution
        assert execution is not None
        note_start(self._services, execution)
        self._begin()
        plan = execute(self._services, call, execution)
        task = asyncio.get_running_loop().create_task(run_on_loop(plan, self._services))
        self._tasks.add(task)
        task.add_done_callback(self._end_task)
        return task

    @property
    def active(self) -> int:
        """How many workflows run or wait for a thread here."""
        return self._active

    def hand_back(self) -> list[str]:
        """Put back every claimed workflow that has not begun; the IDs of those that were still ours."""
        waiting = [task.claimed for task in self.threads.withdraw(ClaimedTask)]
        if not waiting:
            return []
        try:
            return list(self._services.database.run(lambda: release_workflows(waiting)))
        except Exception:  # the process ends all the same
            logger.exception("Claimed workflows could not be handed back; they are recovered elsewhere")
            return []
        finally:
            for workflow in waiting:
                self._services.wake_queue(workflow.queue_name)
                self._end(workflow)

    def drain(self, seconds: float | None) -> bool:
        """Wait until nothing runs; whether that came about in time."""
        with self._quiet:
            return self._quiet.wait_for(lambda: self._active == 0, timeout=seconds)

    def close(self) -> None:
        """End the threads and the loop; what has not begun never does here."""
        for task in self.threads.withdraw(StartedTask):
            task.abandon()
        self.threads.close()
        self.loop.stop()

    def _run_claimed(self, claimed: ClaimedWorkflow) -> None:
        posted = False
        try:
            ended = run_blocking(self._run(claimed), self._services)
            if ended is not None:
                self._post(claimed, *ended)
                posted = True
        finally:
            if not posted:
                self._end(claimed)

    async def _run_claimed_on_loop(self, claimed: ClaimedWorkflow) -> None:
        posted = False
        try:
            ended = await run_on_loop(self._run(claimed), self._services)
            if ended is not None:
                self._post(claimed, *ended)
                posted = True
        except Exception:  # the task's boundary: nobody awaits it
            logger.exception("A workflow's task failed outside of its workflow")
        finally:
            if not posted:
                self._end(claimed)

    def _run(self, claimed: ClaimedWorkflow) -> Plan[tuple[Execution, OutcomeRecord, Outcome] | None]:
        function = self._registry.workflows[claimed.name]
        if (yield from self._is_dead_letter(claimed, function)):
            return None
        execution = _execution_of(claimed, self._services.serialization)
        try:
            call = self._call_of(claimed, function)
        except UndecodableError as error:
            return self._undecodable(claimed, execution, error)
        except Exception as error:  # noqa: BLE001 -- a validator of the application's raises anything
            outcome = Outcome(error=error)
            return execution, outcome_record(execution, outcome), outcome
        if claimed.replayed:
            yield from load_checkpoints(execution)
        waited = max(0, claimed.started_at_ms - claimed.enqueued_at_ms) / 1000
        note_start(self._services, execution, waited_seconds=waited)
        record, outcome = yield from run_function(self._services, call, execution, contain=True)
        return None if record is None else (execution, record, outcome)

    def _call_of(self, claimed: ClaimedWorkflow, function: WorkflowFunction) -> Call:
        target = self._registry.target_of(claimed.name, claimed.class_name, claimed.config_name)
        args, kwargs = decode_inputs(claimed.inputs, claimed.serialization)
        call = Call(
            workflow=function,
            args=args,
            kwargs=kwargs,
            target=target,
            required_roles=self._registry.roles.get(claimed.name, ()),
        )
        if function.validate_args is not None:
            args, kwargs = function.validate_args(args, kwargs)
            return replace(call, args=tuple(args), kwargs=dict(kwargs))
        if (claimed.serialization or self._services.serialization) != PORTABLE_JSON:
            return call
        received, kwargs = restore_times(function.function, call.received, kwargs)
        return replace(call, args=received if target is None else received[1:], kwargs=kwargs)

    def _post(
        self,
        claimed: ClaimedWorkflow,
        execution: Execution,
        record: OutcomeRecord,
        outcome: Outcome,
        *,
        final: bool = False,
    ) -> None:
        """Hand an outcome to the writer without waiting: nobody here waits for it, and the thread is free."""

        def on_commit(committed: Outcome) -> None:
            error = committed.error
            if error is not None and is_refused(error) and not final:
                self._post(claimed, execution, *unstorable(execution, error), final=True)
                return
            if error is not None:
                logger.error("An outcome could not be recorded", exc_info=error, extra=_fields(claimed))
            elif committed.value:
                note_end(self._services, execution, record, outcome)
            self._end(claimed)

        try:
            self._services.writer.post(record, on_commit)
        except DatabaseClosedError:
            logger.info("A workflow outlasted its process; it is recovered elsewhere", extra=_fields(claimed))
            self._end(claimed)

    def _undecodable(
        self, claimed: ClaimedWorkflow, execution: Execution, error: UndecodableError
    ) -> tuple[Execution, OutcomeRecord, Outcome]:
        logger.error("The arguments of a workflow cannot be read: %s", error, extra=_fields(claimed))
        self._services.telemetry.emit(WorkflowUndispatchable(claimed.name, claimed.queue_name, "undecodable"))
        outcome = Outcome(error=error)
        return execution, outcome_record(execution, outcome), outcome

    def _is_dead_letter(self, claimed: ClaimedWorkflow, function: WorkflowFunction) -> Plan[bool]:
        most = function.max_recovery_attempts
        if most is None or claimed.recovery_attempts <= most + 1:
            return False
        if (yield Read(lambda: bury_workflow(claimed))):
            logger.error("%s", MaxRecoveryAttemptsExceededError(claimed.workflow_id, most), extra=_fields(claimed))
            self._services.signals.ring(claimed.workflow_id)
            self._services.writer.announce(workflow=claimed.workflow_id)
        return True

    def _refuse_unknown(self, claimed: list[ClaimedWorkflow]) -> None:
        for workflow in {workflow.function_key: workflow for workflow in claimed}.values():
            self.on_unknown(workflow.function_key)
            logger.warning(
                "No function is registered for workflow %r%s here; its runs stay ENQUEUED for processes that have it",
                workflow.name,
                "" if workflow.class_name is None else f" of class {workflow.class_name!r}",
            )
        try:
            self._services.database.run(lambda: release_workflows(claimed))
        finally:
            for workflow in claimed:
                self._services.telemetry.emit(
                    WorkflowUndispatchable(workflow.name, workflow.queue_name, "unknown function")
                )
                self.on_end(workflow)

    def _begin(self) -> None:
        with self._quiet:
            self._active += 1
            self.begun += 1

    def _end_task(self, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        self._end()

    def _end(self, claimed: ClaimedWorkflow | None = None) -> None:
        if claimed is not None:
            self.on_end(claimed)
        with self._quiet:
            self._active -= 1
            if self._active == 0:
                self._quiet.notify_all()


def _execution_of(claimed: ClaimedWorkflow, serialization: str) -> Execution:
    return Execution(
        workflow_id=claimed.workflow_id,
        owner=claimed.owner,
        name=claimed.name,
        serialization=claimed.serialization or serialization,
        queue_name=claimed.queue_name,
        authentication=authentication_of_row(claimed.authenticated_user, claimed.authenticated_roles),
        deadline_ms=claimed.deadline_ms,
        trace=claimed.trace,
    )


def _fields(claimed: ClaimedWorkflow) -> dict[str, Any]:
    return {"workflow_id": claimed.workflow_id, "workflow": claimed.name, "queue": claimed.queue_name}
