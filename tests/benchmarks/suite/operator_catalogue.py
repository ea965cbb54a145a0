"""The figures of the operator, in the order of the table."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.suite.figures import Figure, Topic, amount, milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much a run gives the operator to do."""

    resources: int = 1000
    """Queues and schedules that are created at once, half of each."""
    steady: int = 40
    """Queues and schedules that a pass looks after while nothing changes, half of each."""
    few_rows: int = 1_000
    many_rows: int = 1_000_000
    """Workflows that ended, in the database of that pass."""
    steady_seconds: float = 4.0
    scalings: int = 6


QUICK = Sizes(resources=100, many_rows=20_000, steady_seconds=1.0, scalings=2)


def ready_figures(sizes: Sizes) -> tuple[Figure, ...]:
    """New resources, all at once."""
    told = f"{sizes.resources:,} resources"
    return (
        _amount("operator-ready", f"{told} created until all are Ready", "s", "seconds", bound=10),
        _amount("operator-memory-none", "memory with a database and no resources", "MB", "megabytes_before"),
        _amount("operator-memory-many", f"memory with {told}", "MB", "megabytes"),
    )


def few_figures(sizes: Sizes) -> tuple[Figure, ...]:
    """A pass over few rows."""
    return (
        _amount("operator-pass-few", _pass(sizes, sizes.few_rows), "ms", "pass"),
        _amount("operator-statements", "statements of such a pass", "", "statements", bound=3),
        _amount("operator-trips", "round trips of such a pass", "", "round_trips"),
    )


def many_figures(sizes: Sizes) -> tuple[Figure, ...]:
    """A pass over many rows."""
    return (_amount("operator-pass-many", _pass(sizes, sizes.many_rows), "ms", "pass"),)


def scale_figures() -> tuple[Figure, ...]:
    """From work to replicas, with the operator's default `--tick` of 5 s."""
    title = "work enqueued to `/scale` patched"
    return (
        milliseconds("operator-scale-p50", f"{title}, p50", 50, topic=Topic.OPERATOR),
        milliseconds("operator-scale-most", f"{title}, slowest", 100, topic=Topic.OPERATOR),
    )


def _pass(sizes: Sizes, rows: int) -> str:
    return f"pass without changes: {sizes.steady} resources, {rows:,} workflows"


def _amount(key: str, title: str, unit: str, reads: str, *, bound: float | None = None) -> Figure:
    return amount(key, title, unit, reads, bound=bound, topic=Topic.OPERATOR)
