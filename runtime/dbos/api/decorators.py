"""@DBOS.workflow and @DBOS.step."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from dbos._serialization import WorkflowSerializationFormat
from dbos.api.calling import with_parentheses
from dbos.api.calls import is_coroutine_function, wrap_step, wrap_workflow
from dbos.api.classes import take_required_roles
from dbos.api.runtime import registry
from dbos.config.vendor import note_vendor_keys
from dbos.core.ids import check_topic
from dbos.core.retry import RetryPolicy
from dbos.engine.places import check_format
from dbos.engine.registry import (
    DEFAULT_MAX_RECOVERY_ATTEMPTS,
    StepFunction,
    WorkflowFunction,
    step_workflow_name,
)
from dbos.serialization.encoding import PORTABLE_JSON, PY_PICKLE
from dbos.serialization.validation import ValidateArgs, make_pydantic_args_validator, pydantic_args_validator

logger = logging.getLogger("dbos")

P = ParamSpec("P")
R = TypeVar("R")


class Decorators:
    """The decorators of DBOS."""

    @staticmethod
    def alert_handler(func: Callable[P, R]) -> Callable[P, R]:
        """Give a function back as it is: alerts come from DBOS Conductor, which this package does not offer.

        Nothing calls it, and a warning says so. Alerts of this package are rules of Prometheus.
        """
        logger.warning(
            "DBOS.alert_handler: %s is never called; alerts come from DBOS Conductor, not offered here",
            func.__qualname__,
        )
        return func

    @staticmethod
    @with_parentheses
    def workflow(
        *,
        name: str | None = None,
        max_recovery_attempts: int | None = DEFAULT_MAX_RECOVERY_ATTEMPTS,
        serialization_type: WorkflowSerializationFormat | None = None,
        validate_args: ValidateArgs | None = None,
        auto_upgrade: Any = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Make a function a workflow: durable, and resumed after its last step when its process dies.

        `name` (default: the function's qualified name) is what rows and other languages call it.
        `max_recovery_attempts` (None: no bound) is how often it is started again before it becomes a dead
        letter. The function must call the same steps in the same order each time.

        `serialization_type` is the format of its arguments and outcome: PORTABLE for every language, NATIVE for
        Python. `validate_args(args, kwargs)` gives the arguments of a run that comes from a queue, or raises:
        then the run ends in ERROR. `pydantic_args_validator` makes one from the annotations. `auto_upgrade` belongs to
        a product of the vendor: it does nothing here, and a warning says so.
        """
        note_vendor_keys({"auto_upgrade": auto_upgrade})
        _check_attempts(max_recovery_attempts)
        serialization = _format_of(check_format(serialization_type))

        def decorate(func: Callable[P, R]) -> Callable[P, R]:
            if isinstance(func, staticmethod | classmethod):
                return type(func)(decorate(func.__func__))
            registered = _name_of(func, name, "@DBOS.workflow")
            workflow = WorkflowFunction(
                name=registered,
                function=take_required_roles(func, registered),
                is_async=is_coroutine_function(func),
                max_recovery_attempts=max_recovery_attempts,
                serialization=serialization,
                validate_args=_validator(func, validate_args),
            )
            registry.add_workflow(workflow)
            return wrap_workflow(workflow)

        return decorate

    @staticmethod
    @with_parentheses
    def step(
        *,
        name: str | None = None,
        retries_allowed: bool = False,
        interval_seconds: float = 1.0,
        max_attempts: int = 3,
        backoff_rate: float = 2.0,
        should_retry: Callable[[BaseException], object] | None = None,
        preemptible: bool = False,
        timeout_seconds: float | None = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Make a function a step: its outcome is recorded, so that it is not run again on replay.

        At least once: a process that dies before the outcome is recorded runs it again. With
        `retries_allowed` it is tried up to `max_attempts` times, `interval_seconds` apart and
        `backoff_rate` longer each time (an hour at most), while `should_retry(error)` agrees; then
        DBOSMaxStepRetriesExceeded is raised. Outside a workflow it is a plain function.

        Of coroutine functions, an attempt that takes longer than `timeout_seconds` is cancelled and fails
        with DBOSStepTimeoutError, and a `preemptible` step is cancelled with its workflow.
        """
        retry = RetryPolicy(
            allowed=retries_allowed,
            interval_seconds=interval_seconds,
            max_attempts=max_attempts,
            backoff_rate=backoff_rate,
        )

        def decorate(func: Callable[P, R]) -> Callable[P, R]:
            if isinstance(func, staticmethod | classmethod):
                return type(func)(decorate(func.__func__))
            step = StepFunction(
                name=_name_of(func, name, "@DBOS.step"),
                function=func,
                is_async=is_coroutine_function(func),
                retry=retry,
                should_retry=should_retry,
                preemptible=preemptible,
                timeout_seconds=timeout_seconds,
            )
            as_workflow, wrapper = _as_workflow(step)
            registry.add_workflow(as_workflow)
            return cast("Callable[P, R]", wrapper)

        return decorate


def _name_of(func: object, given: str | None, decorator: str) -> str:
    """The name that is given, or the qualified one of a function. Raises TypeError for what is none."""
    found = getattr(func, "__qualname__", None)
    if not callable(func) or not isinstance(found, str):
        raise TypeError(f"{decorator}(): expected a function, got {func!r}")
    return found if given is None else check_topic(given, subject="name") or found


def _as_workflow(step: StepFunction) -> tuple[WorkflowFunction, Callable[..., Any]]:
    """The step as a workflow of its own, for `start_workflow(step)` and `queue.enqueue(step)`."""
    if step.is_async:

        async def run_on_loop(*args: object, **kwargs: object) -> object:
            return await wrapper(*args, **kwargs)

        run: Callable[..., Any] = run_on_loop
    else:

        def run_here(*args: object, **kwargs: object) -> object:
            return wrapper(*args, **kwargs)

        run = run_here
    workflow = WorkflowFunction(name=step_workflow_name(step), function=run, is_async=step.is_async)
    wrapper = wrap_step(step, workflow)
    return workflow, wrapper


def _check_attempts(attempts: int | None) -> None:
    if attempts is not None and (isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 0):
        raise ValueError(f"max_recovery_attempts: expected 0 or more, or None, got {attempts!r}")


def _format_of(asked: WorkflowSerializationFormat) -> str | None:
    match asked:
        case WorkflowSerializationFormat.PORTABLE:
            return PORTABLE_JSON
        case WorkflowSerializationFormat.NATIVE:
            return PY_PICKLE
        case _:
            return None


def _validator(func: Callable[..., Any], asked: ValidateArgs | None) -> ValidateArgs | None:
    if asked is pydantic_args_validator:
        return make_pydantic_args_validator(func)
    if asked is not None and not callable(asked):
        raise TypeError(f"validate_args: expected a function of args and kwargs, got {asked!r}")
    return asked
