"""The workflow IDs of scheduled runs: whoever starts a run computes the same one, so it runs once."""

from __future__ import annotations

from datetime import datetime


def schedule_workflow_id(schedule_name: str, moment: datetime) -> str:
    """The ID of the run that a schedule owes to a moment, given as the clocks of its time zone show it.

    Workers and operator agree on it; the database keeps the first insert and ignores the others.
    """
    return f"sched-{schedule_name}-{moment.isoformat()}"
