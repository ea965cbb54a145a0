"""Nothing lost and nothing doubled: what the rows of the system database must say for every workflow."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

QUERY = """
SELECT workflow.workflow_uuid, workflow.name, workflow.status, workflow.executor_id, workflow.recovery_attempts,
       workflow.completed_at IS NOT NULL, workflow.schedule_name, workflow.parent_workflow_id,
       ARRAY(SELECT step.function_id FROM dbos.operation_outputs AS step
              WHERE step.workflow_uuid = workflow.workflow_uuid ORDER BY step.function_id),
       ARRAY(SELECT step.function_name FROM dbos.operation_outputs AS step
              WHERE step.workflow_uuid = workflow.workflow_uuid ORDER BY step.function_id),
       ARRAY(SELECT step.completed_at_epoch_ms FROM dbos.operation_outputs AS step
              WHERE step.workflow_uuid = workflow.workflow_uuid ORDER BY step.function_id),
       (SELECT count(*) FROM dbos.operation_outputs AS step
         WHERE step.workflow_uuid = workflow.workflow_uuid AND step.error IS NOT NULL),
       (SELECT count(*) FROM dbos.workflow_output AS outcome
         WHERE outcome.workflow_uuid = workflow.workflow_uuid)
  FROM dbos.workflow_status AS workflow
 ORDER BY workflow.created_at, workflow.workflow_uuid
"""

SUCCEEDED = "SUCCESS"
RUNNING = "PENDING"
FAILED = {"ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow and its steps, as rows tell it."""

    workflow_id: str
    name: str
    status: str
    executor: str | None
    attempts: int
    completed: bool
    schedule: str | None
    parent: str | None
    step_ids: tuple[int, ...]
    step_names: tuple[str, ...]
    step_ends: tuple[int, ...]
    """When each step was recorded."""
    failed_steps: int
    outcomes: int

    @property
    def succeeded(self) -> bool:
        """Whether it has ended well."""
        return self.status == SUCCEEDED


def parse_rows(rows: Sequence[Sequence[Any]]) -> list[Workflow]:
    """The answer to QUERY."""
    return [Workflow(*row[:8], *map(tuple, row[8:11]), *row[11:]) for row in rows]


def wrong_outcomes(workflow: Workflow, *, steps: Sequence[str] | None, attempts: Collection[int]) -> list[str]:
    """What is wrong with a workflow that should have run its steps once each and succeeded.

    The primary key of the steps keeps a second row out, so a step that was taken for another one, or run after
    the end, shows as a wrong name or number. Without `steps` only their numbers are looked at.
    """
    numbers = range(1, len(workflow.step_ids if steps is None else steps) + 1)
    names = workflow.step_names if steps is None else tuple(steps)
    facts: list[tuple[str, object, object]] = [
        ("status", workflow.status, SUCCEEDED),
        ("numbers of the steps", workflow.step_ids, tuple(numbers)),
        ("names of the steps", workflow.step_names, names),
        ("failed steps", workflow.failed_steps, 0),
        ("outcomes", workflow.outcomes, 1),
        ("completed", workflow.completed, True),
    ]
    wrong = [f"{what}: expected {wanted}, found {found}" for what, found, wanted in facts if found != wanted]
    if workflow.attempts not in attempts:
        wrong.append(f"attempts: expected {' or '.join(map(str, sorted(attempts)))}, found {workflow.attempts}")
    return [f"{workflow.workflow_id} ({workflow.name}) on {workflow.executor}: {each}" for each in wrong]


def repeated_steps(before: Workflow, after: Workflow) -> list[str]:
    """Steps that were recorded before and are recorded anew: a checkpoint must be replayed, never run again."""
    kept = after.step_ends[: len(before.step_ends)]
    return [] if kept == before.step_ends else [f"{after.workflow_id}: steps {before.step_ends} became {kept}"]


def lost_or_unknown(
    workflows: Sequence[Workflow], wanted: Collection[str], started: Collection[str], schedule: str
) -> list[str]:
    """Wanted workflows that have no row, and rows that neither we nor the schedule nor another workflow started."""
    there = {workflow.workflow_id for workflow in workflows}
    explained = {each.workflow_id for each in workflows if each.schedule == schedule or each.parent in there}
    lost = [f"{each}: was started and has no row" for each in sorted(set(wanted) - there)]
    return lost + [f"{each}: nobody started it" for each in sorted(there - set(started) - explained)]


def runs_of(workflows: Sequence[Workflow], schedule: str) -> list[Workflow]:
    """The runs of a schedule, in the order of their due times."""
    runs = [workflow for workflow in workflows if workflow.workflow_id.startswith(f"sched-{schedule}-")]
    return sorted(runs, key=lambda run: due_time(run, schedule))


def due_time(run: Workflow, schedule: str) -> datetime:
    """When a run was due, from the ID that all who fire it agree on."""
    return datetime.fromisoformat(run.workflow_id.removeprefix(f"sched-{schedule}-"))


def missing_runs(runs: Sequence[Workflow], schedule: str, period: timedelta) -> list[str]:
    """Due times between the first and the last run that have none."""
    due = [due_time(run, schedule) for run in runs]
    gaps = [(now, later) for now, later in pairwise(due) if later - now != period]
    return [f"{schedule}: nothing between {now} and {later}" for now, later in gaps]
