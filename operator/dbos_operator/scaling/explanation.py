"""The sentence that explains a number of replicas to the person who reads a status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from dbos_operator.resources.timestamps import format_moment
from dbos_operator.scaling.demand import Work
from dbos_operator.scaling.terms import QueueTerm


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The numbers of a decision, after the sum over the queues."""

    asked: int
    """Before the bounds."""
    wanted: int
    replicas: int
    least: int
    most: int
    busy: int
    hold_until: datetime | None


def limited_by(terms: Sequence[QueueTerm], outcome: Outcome) -> str:
    """The limits that kept replicas down; empty when every workflow can have its place.

    `maxReplicas` takes the word when it binds, since nothing else could then change the result.
    """
    if outcome.asked > outcome.most:
        return f"maxReplicas {outcome.most}"
    binding = [term for term in terms if term.useful.limited_by]
    if len(terms) == 1:
        return "".join(term.useful.limited_by for term in binding)
    return ", ".join(f"{term.queue_name}: {term.useful.limited_by}" for term in binding)


def explain(terms: Sequence[QueueTerm], internal: Work, outcome: Outcome) -> str:
    """How the number came about, in the order in which it did."""
    named = len(terms) > 1
    parts = [f"{term.queue_name}: {_term(term)}" if named else _term(term) for term in terms]
    parts.extend(_internal(internal))
    text = f"{'; '.join(parts)}: {_count(outcome.asked, 'replica')}"
    return ", ".join([text, *_bounds(outcome), *_holds(outcome)])


def _term(term: QueueTerm) -> str:
    at_least = "at least " if term.truncated else ""
    parts = [f"{at_least}{_count(term.work.total, 'workflow')} to run"]
    if term.useful.limited_by:
        parts.append(f"{term.useful.count} useful ({term.useful.limited_by})")
    parts.append(f"{term.per_replica} per replica")
    if term.asks_for_one:
        parts.append(f"{term.work.unproven} more of a version that the target may run")
    if term.work.stranded:
        parts.append(f"{term.work.stranded} more of versions that it does not run")
    return ", ".join(parts)


def _internal(internal: Work) -> Iterator[str]:
    if internal.total or internal.unproven:
        yield f"{internal.total + internal.unproven} on the internal queue"


def _bounds(outcome: Outcome) -> Iterator[str]:
    if outcome.asked > outcome.most:
        yield f"of which maxReplicas allows {outcome.most}"
    elif outcome.asked < outcome.least:
        yield f"raised to minReplicas {outcome.least}"


def _holds(outcome: Outcome) -> Iterator[str]:
    if outcome.hold_until is not None:
        yield f"kept at {outcome.replicas} until {format_moment(outcome.hold_until)}"
    elif outcome.replicas > outcome.wanted:
        yield f"kept at {outcome.replicas} while {outcome.busy} have work in them"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
