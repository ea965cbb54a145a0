"""The names of workflows and steps, and their functions."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dbos._error import DBOSException
from dbos.core.ids import STEP_WORKFLOW_PREFIX, check_name
from dbos.core.kafka import KAFKA_ORDERED_QUEUE, KAFKA_QUEUE, KafkaOrdering, default_group_id
from dbos.core.limits import MAX_SECONDS, QueueLimits
from dbos.core.retry import RetryPolicy
from dbos.engine.targets import Target, Targets
from dbos.serialization.validation import ValidateArgs

logger = logging.getLogger("dbos")

DEFAULT_MAX_RECOVERY_ATTEMPTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFunction:
    """A registered workflow."""

    name: str
    function: Callable[..., Any]
    is_async: bool
    max_recovery_attempts: int | None = DEFAULT_MAX_RECOVERY_ATTEMPTS
    serialization: str | None = None
    validate_args: ValidateArgs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFunction:
    """A registered step."""

    name: str
    function: Callable[..., Any]
    is_async: bool
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    should_retry: Callable[[BaseException], Any] | None = None
    preemptible: bool = False
    """Whether it is interrupted when its workflow is cancelled; coroutine functions only."""
    timeout_seconds: float | None = None
    """How long an attempt may take; coroutine functions only."""

    def __post_init__(self) -> None:
        asked = self.should_retry
        if asked is not None and not callable(asked):
            raise TypeError(f"Step {self.name}: should_retry: expected a function of the error, got {asked!r}")
        if asked is not None and not self.is_async and _gives_coroutine(asked):
            raise DBOSException(
                f"Step {self.name}: should_retry is a coroutine function, which only coroutine functions can await; "
                "make the step one, or should_retry a plain function"
            )
        if self.preemptible and not self.is_async:
            raise DBOSException(f"Step {self.name}: preemptible is for coroutine functions; a thread cannot be stopped")
        if self.timeout_seconds is None:
            return
        if not self.is_async:
            raise DBOSException(
                f"Step {self.name}: timeout_seconds is for coroutine functions; a thread cannot be stopped"
            )
        if isinstance(self.timeout_seconds, bool) or not isinstance(self.timeout_seconds, int | float):
            raise TypeError(f"Step {self.name}: timeout_seconds: expected seconds, got {self.timeout_seconds!r}")
        if not 0 < self.timeout_seconds <= MAX_SECONDS:
            raise DBOSException(
                f"Step {self.name}: timeout_seconds: expected more than 0 and at most {MAX_SECONDS}, "
                f"got {self.timeout_seconds}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A workflow, its arguments, the object whose method it is, and the roles of which it requires one."""

    workflow: WorkflowFunction
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: Target | None = None
    required_roles: tuple[str, ...] = ()

    @property
    def received(self) -> tuple[Any, ...]:
        """The positional arguments as the function takes them."""
        return self.args if self.target is None else (self.target.receiver, *self.args)


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSubscription:
    """What @DBOS.kafka_consumer declares."""

    workflow: WorkflowFunction
    config: Mapping[str, Any]
    topics: tuple[str, ...]
    ordering: KafkaOrdering
    batch_size: int
    queue_name: str | None = None

    @property
    def function_name(self) -> str:
        """The name of the workflow, or of the step that is run as one."""
        return self.workflow.name.removeprefix(STEP_WORKFLOW_PREFIX)

    @property
    def group_id(self) -> str:
        """The consumer group: that of the configuration, or one made of the names."""
        return str(self.config.get("group.id") or default_group_id(self.function_name, self.topics))

    @property
    def queue(self) -> str:
        """Where its workflows wait."""
        ordered = self.ordering is not KafkaOrdering.NONE
        return self.queue_name or (KAFKA_ORDERED_QUEUE if ordered else KAFKA_QUEUE)


class Registry:
    """What decorators registered in this process. Filled before launch, read afterwards."""

    def __init__(self) -> None:
        self.workflows: dict[str, WorkflowFunction] = {}
        self.queues: dict[str, QueueLimits] = {}
        self.listened: frozenset[str] | None = None
        """The queues that this process serves; None: all of the application's."""
        self.scheduled: dict[str, str] = {}
        """The cron texts of the workflows that @DBOS.scheduled declares."""
        self.roles: dict[str, tuple[str, ...]] = {}
        """The roles of which a workflow requires one."""
        self.kafka: list[KafkaSubscription] = []
        """What @DBOS.kafka_consumer declares."""
        self.targets = Targets()

    def add_workflow(self, workflow: WorkflowFunction) -> None:
        """Make a workflow known by its name. A later one of the same file takes its place, with a warning.

        Raises DBOSException for one of another file: a run that is recovered would meet the wrong code.
        """
        before = self.workflows.get(workflow.name)
        if before is not None and _code_of(before.function) is not _code_of(workflow.function):
            first, second = _file_of(before.function), _file_of(workflow.function)
            if first != second and not _is_typed_in(first) and not _is_typed_in(second):
                raise DBOSException(
                    f"Workflow {workflow.name!r} is registered by two different functions, in {first} and in {second}: "
                    "give one of them another name, by @DBOS.workflow(name=…)"
                )
            logger.warning(
                "Workflow %r is registered twice; the one in %s is used from now on",
                workflow.name,
                workflow.function.__module__,
            )
        self.workflows[workflow.name] = workflow

    def add_queue(self, name: str, limits: QueueLimits) -> None:
        """Make a queue known that launch will create. Raises ValueError for a name that is taken."""
        check_name(name, subject="queue name")
        if name in self.queues:
            raise ValueError(f"Queue {name!r} is declared twice; use the first object for both")
        self.queues[name] = limits

    def call(self, workflow: WorkflowFunction, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """A call as it is made in code: a method's object comes first in `args`."""
        target, rest = self.targets.of_call(workflow.name, args)
        return Call(
            workflow=workflow,
            args=rest,
            kwargs=dict(kwargs),
            target=target,
            required_roles=self.roles.get(workflow.name, ()),
        )

    def target_of(self, name: str, class_name: str | None, config_name: str | None) -> Target | None:
        """The object that a row names. Raises LookupError when the workflow or its object is not here."""
        _ = self.workflows[name]
        return self.targets.of_row(class_name, config_name)

    def clear(self) -> None:
        """Forget everything."""
        self.workflows.clear()
        self.queues.clear()
        self.listened = None
        self.scheduled.clear()
        self.roles.clear()
        self.kafka.clear()
        self.targets.clear()


def _gives_coroutine(function: object) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 -- of an object whose class defines it
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _code_of(function: Callable[..., Any]) -> Any:
    unwrapped = inspect.unwrap(function)
    return getattr(unwrapped, "__code__", unwrapped)


def _file_of(function: Callable[..., Any]) -> str:
    return str(getattr(_code_of(function), "co_filename", "<unknown>"))


def _is_typed_in(file: str) -> bool:
    """Whether code comes from a shell or a notebook, where a function is defined again to change it."""
    return file.startswith("<") or "ipykernel" in file or "ipython" in file


def step_workflow_name(step: StepFunction) -> str:
    """The name under which a step is started as a workflow."""
    return STEP_WORKFLOW_PREFIX + step.name


def code_version(workflows: Mapping[str, WorkflowFunction], *, package_version: str, application: str) -> str:
    """A version that changes with the code of any workflow, the release of this package or the application's name."""
    sources = sorted(_source(workflow.function) for workflow in workflows.values())
    text = "\0".join([*sources, package_version, application])
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # typed into a shell, or built without sources
        code = function.__code__
        return f"{code.co_name} {code.co_code.hex()} {code.co_names} {code.co_consts!r}"
