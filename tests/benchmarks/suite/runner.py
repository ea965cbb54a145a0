"""Runs measures turn by turn: ours, the peer, the peer, ours, so that what the machine does hits both alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.suite.figures import Figure
from benchmarks.suite.report import one_line
from benchmarks.suite.results import Result, result_of
from benchmarks.suite.sides import Side

Say = Callable[[str], None]


class Taken(Protocol):
    """Takes one measure of a side."""

    def __call__(self, side: Side) -> Mapping[str, Any]:
        """What was found."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """A measure that can be taken."""

    name: str
    figures: tuple[Figure, ...]
    take: Taken
    sides: tuple[Side, ...] = (Side.OURS, Side.PEER)
    rounds: int | None = None


def run_tasks(tasks: Sequence[Task], *, rounds: int, say: Say) -> Iterator[Result]:
    """The results of every task, as soon as they are there."""
    for number, task in enumerate(tasks, start=1):
        say(f"[{number}/{len(tasks)}] {task.name}")
        for result in _run(task, min(rounds, task.rounds or rounds)):
            say(f"    {one_line(result)}")
            yield result


def _run(task: Task, rounds: int) -> list[Result]:
    found: dict[Side, list[Mapping[str, Any]]] = {Side.OURS: [], Side.PEER: []}
    for turn in range(rounds):
        for side in task.sides if turn % 2 == 0 else reversed(task.sides):
            found[side].append(task.take(side))
    return [result_of(figure, found[Side.OURS], found[Side.PEER]) for figure in task.figures]
