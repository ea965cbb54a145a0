"""Results as tables: for the terminal while a run goes on, and as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.suite.figures import Topic
from benchmarks.suite.results import Result, Run, Summary

_TITLES = {
    Topic.RUNTIME: ("", "ours", "peer", "ratio", "spread of ours", "spread of the peer", "aim"),
    Topic.OPERATOR: ("", "ours", "spread", "aim"),
}


def cells(result: Result) -> tuple[str, ...]:
    """One row of the table of its topic."""
    ours = f"{number(result.ours.value)}{_unit(result.unit)}"
    if result.topic is Topic.OPERATOR:
        return (result.title, ours, _spread(result.ours), _aim(result))
    if result.peer is None:
        return (result.title, ours, "", "", _spread(result.ours), "", _aim(result))
    peer = f"{number(result.peer.value)}{_unit(result.unit)}"
    ratio = "" if result.ratio is None else f"{number(result.ratio)}x"
    return (result.title, ours, peer, ratio, _spread(result.ours), _spread(result.peer), _aim(result))


def as_markdown(run: Run) -> str:
    """The tables of a run, and a line that says where and how it was made."""
    made = run.machine
    origin = (
        f"Made on {made['date']} with `{made['command']}` ({made['rounds']} rounds) at commit `{made['commit']}`: "
        f"{made['processor']}, {made['cores']} cores, {made['system']}, Python {made['python']}, "
        f"PostgreSQL {made['postgres']}; load {made['load_before']} before the run and {made['load_after']} after it."
    )
    parts = [origin]
    for topic in Topic:
        rows = [cells(result) for result in run.results if result.topic is topic]
        if rows:
            titles = _TITLES[topic]
            lines = [titles, ("---", *("---:" for _ in titles[1:])), *rows]
            parts.append("\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines))
    return "\n\n".join(parts) + "\n"


def as_text(results: Sequence[Result]) -> str:
    """The tables for a terminal."""
    parts = []
    for topic in Topic:
        rows = [cells(result) for result in results if result.topic is topic]
        if rows:
            table = [_TITLES[topic], *rows]
            widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
            parts.append("\n".join(_line(row, widths) for row in table))
    return "\n\n".join(parts)


def one_line(result: Result) -> str:
    """A result as soon as it is there."""
    title, ours, *more = cells(result)
    told = f"{title}: {ours} ({_spread(result.ours)})"
    return told if result.peer is None else f"{told}, peer {more[0]} ({_spread(result.peer)}), {more[1]}"


def number(value: float) -> str:
    """Three digits are what repeats."""
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{float(f'{value:.3g}'):g}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((first, *others)).rstrip()


def _spread(summary: Summary) -> str:
    return f"{number(summary.low)} to {number(summary.high)}"


def _unit(unit: str) -> str:
    return unit if unit.startswith("/") or not unit else f" {unit}"


def _aim(result: Result) -> str:
    if result.times is not None:
        told = f"≥ {number(result.times)}x"
    elif result.bound is not None:
        told = f"≤ {number(result.bound)}{_unit(result.unit)}"
    else:
        return ""
    return told if result.reached else f"{told}, missed"
