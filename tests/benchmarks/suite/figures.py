"""What is measured: each figure with its unit, what is aimed at, and the measure that gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Parameters = Mapping[str, Any]


class Better(StrEnum):
    """Which of two values is the better one."""

    MORE = "more"
    LESS = "less"


class Topic(StrEnum):
    """What a figure is about; one table each."""

    RUNTIME = "runtime"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of the table. `times` is the ratio to the peer that is aimed at, `bound` the absolute value."""

    key: str
    title: str
    unit: str
    better: Better
    reads: str
    """The name of the number, or of the samples, in what the measure found."""
    percentile: int | None = None
    """Of samples: all rounds together give the value, each round one end of the spread."""
    times: float | None = None
    bound: float | None = None
    topic: Topic = Topic.RUNTIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One run of the workload per side and round, and the figures that it gives.

    The sides differ in size only where one would take minutes for what the other does in a moment.
    """

    name: str
    kind: str
    figures: tuple[Figure, ...]
    ours: Parameters = field(default_factory=dict)
    peer: Parameters | None = None
    """None: as ours."""
    quick: Parameters = field(default_factory=dict)
    """What replaces parameters of both sides in a quick run."""
    rounds: int | None = None
    """At most so many: what hardly varies is not measured as often as what does."""

    def parameters(self, *, peer: bool, quick: bool) -> Parameters:
        """The sizes of one side."""
        found = self.ours if self.peer is None or not peer else self.peer
        return {**found, **(self.quick if quick else {})}


def rate(key: str, title: str, *, times: float) -> Figure:
    """How many in a second."""
    return Figure(key=key, title=title, unit="/s", better=Better.MORE, reads="rate", times=times)


def milliseconds(key: str, title: str, percentile: int, **more: Any) -> Figure:
    """A percentile of durations."""
    return Figure(
        key=key,
        title=title,
        unit="ms",
        better=Better.LESS,
        reads="milliseconds",
        percentile=percentile,
        **more,
    )


def amount(key: str, title: str, unit: str, reads: str, **more: Any) -> Figure:
    """Something of which less is better."""
    return Figure(key=key, title=title, unit=unit, better=Better.LESS, reads=reads, **more)
