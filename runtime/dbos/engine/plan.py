"""A plan is engine logic that yields effects; an interpreter performs them in a thread or on an event loop.

One body serves the sync and the async call of everything.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, TypeVar

from dbos.store.batches import Record
from dbos.store.operation import Operation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Write:
    """Have a record written; gives the writer's answer, after the commit."""

    record: Record


@dataclass(frozen=True, slots=True)
class WriteAll:
    """Have records written, in shared commits; gives an Outcome for each, with the writer's answer, in their order."""

    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Read:
    """Perform an operation; gives its result. `polls`: for somebody who waits, and may stand in line for it."""

    operation: Callable[[], Operation[Any]]
    polls: bool = False


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


Effect: TypeAlias = Write | WriteAll | Read | Transact | Invoke | Await | Wait
Plan: TypeAlias = Generator[Effect, Any, T]


def side_by_side(plans: Iterable[Plan[T]]) -> Plan[list[T]]:
    """Perform plans together: their writes share commits. The results, in the order of the plans.

    Each plan comes to its end, whatever the others do; then the first error is raised.
    """
    results: list[T | None] = []
    errors: list[BaseException] = []
    waiting: list[tuple[int, Plan[T], Effect]] = []

    def advance(place: int, plan: Plan[T], step: Callable[[], Effect]) -> None:
        try:
            waiting.append((place, plan, step()))
        except StopIteration as done:
            results[place] = done.value
        except Exception as error:  # noqa: BLE001 -- raised once the others are done
            errors.append(error)

    for place, plan in enumerate(plans):
        results.append(None)
        advance(place, plan, partial(next, plan))
    while waiting:
        current, waiting = waiting, []
        writes = [(place, plan, effect.record) for place, plan, effect in current if isinstance(effect, Write)]
        if writes:
            answers = yield WriteAll([record for _, _, record in writes])
            for (place, plan, _), answer in zip(writes, answers, strict=True):
                told = partial(plan.send, answer.value) if answer.error is None else partial(plan.throw, answer.error)
                advance(place, plan, told)
        for place, plan, effect in current:
            if not isinstance(effect, Write):
                answer = yield effect
                advance(place, plan, partial(plan.send, answer))
    if errors:
        raise errors[0]
    return results  # type: ignore[return-value]
