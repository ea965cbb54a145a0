"""Steps without a decorator, steps whose place is reserved, patches, and what a step knows of itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from dbos._error import DBOSException
from dbos.api.runtime import engine, refuse_event_loop
from dbos.core.ids import check_topic
from dbos.core.outcome import Outcome
from dbos.core.retry import RetryPolicy
from dbos.engine.context import Execution, recording_execution
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.patches import deprecate_patch, patch
from dbos.engine.registry import StepFunction
from dbos.engine.steps import run_step


class StepOptions(TypedDict, total=False):
    """The options of a step, as those of @DBOS.step."""

    name: str | None
    """What the step is called in rows. Default: the name of the function."""
    retries_allowed: bool
    """Whether it is tried again after it failed. Default: False."""
    interval_seconds: float
    """How long after the first failure. Default: 1.0."""
    max_attempts: int
    """Most calls, the first one included. Default: 3."""
    backoff_rate: float
    """How much longer each wait is than the one before, up to an hour. Default: 2.0."""
    should_retry: Callable[[BaseException], Any] | None
    """Called with the error; what it returns says whether to try again. Default: always."""
    preemptible: bool
    """Of coroutine functions: whether it is cancelled with its workflow. Default: False."""
    timeout_seconds: float | None
    """Of coroutine functions: how long one attempt may take. Default: no bound."""


@dataclass(frozen=True)
class StepStatus:
    """What a step knows of itself: its ID and, when it is retried, which attempt this is, counted from 0."""

    step_id: int
    """Its number in the workflow, counted from 1."""
    current_attempt: int | None = None
    """Counted from 0; None: the step is not retried."""
    max_attempts: int | None = None
    """Most calls; None: the step is not retried."""


class StepReservation:
    """The place of a step in its workflow, taken before it runs.

    Steps that run side by side are numbered in the order in which they begin. Reserved ones keep the number
    of their reservation, whenever they begin.
    """

    def __init__(self, execution: Execution, step_id: int) -> None:
        self._execution = execution
        self._step_id = step_id
        self._used = False

    @property
    def step_id(self) -> int:
        """The ID that the step has."""
        return self._step_id

    def run(self, dbos_step_options: StepOptions | None, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a function as this step, as DBOS.run_step. Raises DBOSException the second time."""
        return _run(self._use(), dbos_step_options, func, args, kwargs)

    async def run_async(
        self, dbos_step_options: StepOptions | None, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """As run."""
        return await _run_on_loop(self._use(), dbos_step_options, func, args, kwargs)

    def _use(self) -> _Place:
        if self._used:
            raise DBOSException("A step reservation is for one step; reserve another")
        self._used = True
        return _Place(self._execution, self._step_id)


class Stepping:
    """The class methods of DBOS about steps."""

    @classmethod
    def run_step(
        cls, dbos_step_options: StepOptions | None, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Run a function as a step of this workflow; its result. Its name is that of the function, unless given.

        As @DBOS.step: recorded once it ended, and at least once. In a step, and outside of workflows, it is
        a plain call. Raises TypeError or ValueError naming an option that cannot be.
        """
        refuse_event_loop("DBOS.run_step")
        return _run(_here(), dbos_step_options, func, args, kwargs)

    @classmethod
    async def run_step_async(
        cls, dbos_step_options: StepOptions | None, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """As run_step. A function that is no coroutine function runs in a thread."""
        return await _run_on_loop(_here(), dbos_step_options, func, args, kwargs)

    @classmethod
    def reserve_step(cls) -> StepReservation:
        """Take the next step ID for a step that runs later. Raises DBOSException outside of workflows, and in steps."""
        execution = recording_execution()
        if execution is None:
            raise DBOSException("DBOS.reserve_step is for workflows, outside of their steps")
        return StepReservation(execution, execution.next_function_id())

    @classmethod
    def patch(cls, patch_name: str) -> bool:
        """Whether this run takes the patched way; one that passed here before the patch goes on without it.

        `if DBOS.patch("name"): new() else: old()`. Raises DBOSException outside of workflows, and in steps.
        """
        refuse_event_loop("DBOS.patch")
        services = engine().services
        return run_blocking(patch(services, patch_name), services)

    @classmethod
    async def patch_async(cls, patch_name: str) -> bool:
        """As patch."""
        services = engine().services
        return await run_on_loop(patch(services, patch_name), services)

    @classmethod
    def deprecate_patch(cls, patch_name: str) -> bool:
        """Stands where a patch was that every run takes: runs with its marker go on; always True."""
        refuse_event_loop("DBOS.deprecate_patch")
        engine()
        return deprecate_patch(patch_name)

    @classmethod
    async def deprecate_patch_async(cls, patch_name: str) -> bool:
        """As deprecate_patch."""
        engine()
        return deprecate_patch(patch_name)


@dataclass(frozen=True, slots=True)
class _Place:
    execution: Execution
    function_id: int | None = None


def _here() -> _Place | None:
    execution = recording_execution()
    return None if execution is None else _Place(execution)


def _run(
    place: _Place | None, options: StepOptions | None, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]
) -> Any:
    if inspect.iscoroutinefunction(func):
        refuse_event_loop("DBOS.run_step of a coroutine function")
        return asyncio.run(_run_on_loop(place, options, func, args, kwargs))

    def call(*args: Any, **kwargs: Any) -> Any:
        result = func(*args, **kwargs)
        return asyncio.run(_await(result)) if inspect.iscoroutine(result) else result

    step = _step_of(options, func, call, is_async=False)
    if place is None:
        return call(*args, **kwargs)
    services = engine().services
    plan = run_step(services, place.execution, step, args, kwargs, function_id=place.function_id)
    return run_blocking(plan, services).unwrap()


async def _run_on_loop(
    place: _Place | None, options: StepOptions | None, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]
) -> Any:
    async def call(*args: Any, **kwargs: Any) -> Any:
        if inspect.iscoroutinefunction(func):
            return await func(*args, **kwargs)
        result = (await asyncio.to_thread(_outcome_of, func, *args, **kwargs)).unwrap()
        return await result if inspect.isawaitable(result) else result

    step = _step_of(options, func, call, is_async=True)
    if place is None:
        return await call(*args, **kwargs)
    services = engine().services
    plan = run_step(services, place.execution, step, args, kwargs, function_id=place.function_id)
    return (await run_on_loop(plan, services)).unwrap()


def _step_of(
    options: StepOptions | None, func: Callable[..., Any], call: Callable[..., Any], *, is_async: bool
) -> StepFunction:
    if not callable(func):
        raise TypeError(f"func: expected a function to run as a step, got {func!r}")
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"StepOptions: expected a dictionary of options, or None, got {options!r}")
    given: StepOptions = options or {}
    unknown = sorted(set(given) - set(StepOptions.__annotations__))
    if unknown:
        known = ", ".join(sorted(StepOptions.__annotations__))
        raise TypeError(f"StepOptions: unknown {', '.join(unknown)}; known are {known}")
    defaults = RetryPolicy()
    return StepFunction(
        name=check_topic(given.get("name") or _name_of(func), subject="name"),
        function=call,
        is_async=is_async,
        retry=RetryPolicy(
            allowed=given.get("retries_allowed", defaults.allowed),
            interval_seconds=given.get("interval_seconds", defaults.interval_seconds),
            max_attempts=given.get("max_attempts", defaults.max_attempts),
            backoff_rate=given.get("backoff_rate", defaults.backoff_rate),
        ),
        should_retry=given.get("should_retry"),
        preemptible=given.get("preemptible", False),
        timeout_seconds=given.get("timeout_seconds"),
    )


def _name_of(func: Callable[..., Any]) -> str:
    inner = inspect.unwrap(func, stop=lambda each: hasattr(each, "__qualname__"))
    while not hasattr(inner, "__qualname__") and hasattr(inner, "func"):
        inner = inner.func  # a partial is called what it calls
    return str(getattr(inner, "__qualname__", type(func).__qualname__))


def _outcome_of(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
    """What a function gave, for another thread: a future of asyncio takes no StopIteration, and its awaiter hangs."""
    try:
        return Outcome(func(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 -- user code raises anything; it is the outcome
        return Outcome(error=error)


async def _await(awaitable: Any) -> Any:
    return await awaitable
