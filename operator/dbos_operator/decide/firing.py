"""Which runs of a schedule are due, and when the next one is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dbos.core.cron import CronRule, UnknownTimeZoneError, parse_time_zone
from dbos.core.schedule_ids import schedule_workflow_id

MISSED_AFTER = timedelta(seconds=60)
"""What was due earlier than this is missed, and skipped."""
WORKERS_RELOAD_WITHIN = timedelta(minutes=2)
"""Until then a worker may still fire by the time zone that the schedule had before."""
MOST_AT_ONCE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Clockwork:
    """A schedule's rule, and how far it has been followed."""

    rule: CronRule
    next_due: datetime
    """Nothing is due before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A schedule that is active and fired by the operator."""

    name: str
    text: str
    time_zone: str | None
    active_since: datetime
    zone_before: str | None = None
    zone_changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DueRun:
    """A moment in the schedule's zone, the ID that every worker would give it, and IDs of the zone before."""

    moment: datetime
    workflow_id: str
    other_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Firing:
    """What is due now, and the clockwork to go on with."""

    due: tuple[DueRun, ...]
    clockwork: Clockwork


def wind(ticket: Ticket, before: Clockwork | None, now: datetime) -> Clockwork:
    """The clockwork of a schedule: the one before, or a new one when the rule is another.

    A new one starts where the schedule became active, but never more than what
    counts as missed ago. Raises InvalidCronError or UnknownTimeZoneError.
    """
    if before is not None and before.rule.text == ticket.text and before.rule.zone == parse_time_zone(ticket.time_zone):
        return before
    rule = CronRule.parse(ticket.text, ticket.time_zone)
    start = max(ticket.active_since, now - MISSED_AFTER)
    return Clockwork(rule=rule, next_due=rule.next_after(start))


def decide_firing(ticket: Ticket, clockwork: Clockwork, now: datetime) -> Firing:
    """Every moment that is due since the clockwork was last looked at, and not missed.

    Asking twice for the same moment is harmless: the workflow ID decides.
    """
    if clockwork.next_due > now:
        return Firing((), clockwork)
    rule = clockwork.rule
    # A moment before next_due, so that next_due itself is found; what is older than the bound is skipped.
    start = max(clockwork.next_due - timedelta(microseconds=1), now - MISSED_AFTER, ticket.active_since)
    due = rule.due_between(start, now, MOST_AT_ONCE)
    onwards = due[-1] if len(due) == MOST_AT_ONCE else now
    return Firing(
        tuple(
            DueRun(moment, schedule_workflow_id(ticket.name, moment), _others(ticket, moment, now)) for moment in due
        ),
        Clockwork(rule=rule, next_due=rule.next_after(onwards)),
    )


def count_missed(
    ticket: Ticket, before: Clockwork | None, rule: CronRule, last_fired: datetime | None, now: datetime
) -> int:
    """How many moments nobody fired, though they were due, and nobody will: they are too long ago.

    Each is counted once while the operator runs. One that starts also counts what went
    by since the row was last fired. At most so many at a time; a rule that has
    just changed owes nothing.
    """
    start = max(ticket.active_since, last_fired or ticket.active_since)
    if before is not None:
        if before.rule != rule:
            return 0
        start = max(start, before.next_due - timedelta(microseconds=1))
    return len(rule.due_between(start, now - MISSED_AFTER, MOST_AT_ONCE)) if start < now - MISSED_AFTER else 0


def _others(ticket: Ticket, moment: datetime, now: datetime) -> tuple[str, ...]:
    if ticket.zone_changed_at is None or now - ticket.zone_changed_at > WORKERS_RELOAD_WITHIN:
        return ()
    try:
        before = parse_time_zone(ticket.zone_before)
    except UnknownTimeZoneError:
        return ()  # no worker could fire by it either
    other = schedule_workflow_id(ticket.name, moment.astimezone(before))
    return () if other == schedule_workflow_id(ticket.name, moment) else (other,)
