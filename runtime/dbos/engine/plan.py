"""A plan is engine logic that yields effects; an interpreter performs them in a thread or on an event loop.

One body serves the sync and the async call of everything.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from dbos.store.batches import Record
from dbos.store.operation import Operation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Write:
    """Have a record written; gives the writer's answer, after the commit."""

    record: Record


@dataclass(frozen=True, slots=True)
class Read:
    """Perform an operation; gives its result."""

    operation: Callable[[], Operation[Any]]


@dataclass(frozen=True, slots=True)
class Transact:
    """Perform an operation with all its statements in one transaction; gives its result."""

    operation: Callable[[], Operation[Any]]


@dataclass(frozen=True, slots=True)
class Invoke:
    """Call user code; gives an Outcome. Signals such as a cancellation pass through.

    With `contain` SystemExit is an error like others: on a thread of ours it would end the thread, no more.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    contain: bool = False


@dataclass(frozen=True, slots=True)
class Await:
    """Wait until a future is done, at most some seconds; gives nothing."""

    future: Future[Any]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass."""

    seconds: float


Effect: TypeAlias = Write | Read | Transact | Invoke | Await | Wait
Plan: TypeAlias = Generator[Effect, Any, T]
