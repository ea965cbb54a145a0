"""A batch of records as statements, and the statements' rows as answers, record by record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from dbos.store.operation import Row, Statement
from dbos.store.records import (
    answer_starts,
    answer_steps,
    insert_statement,
    outcome_statement,
    step_statement,
)
from dbos.store.rows import NewWorkflow, OutcomeRecord, StepRecord

Record: TypeAlias = StepRecord | NewWorkflow | OutcomeRecord


def statements_of(records: Sequence[Record]) -> list[Statement]:
    """One statement for each kind of record that is there."""
    steps, roots, children, outcomes = _by_kind(records)
    statements = []
    if steps:
        statements.append(step_statement(steps))
    statements.extend(insert_statement(starts) for starts in (roots, children) if starts)
    if outcomes:
        statements.append(outcome_statement(outcomes))
    return statements


def answers_of(records: Sequence[Record], results: Sequence[Sequence[Row]]) -> list[Any]:
    """The answer to each record, from the rows of `statements_of(records)`."""
    steps, roots, children, outcomes = _by_kind(records)
    remaining = iter(results)
    answers: dict[int, Any] = {}
    if steps:
        told = answer_steps(next(remaining))
        answers |= {id(step): told[step.workflow_id, step.function_id] for step in steps}
    for starts in (roots, children):
        if starts:
            told_starts = answer_starts(starts, next(remaining))
            answers |= {id(start): answer for start, answer in zip(starts, told_starts, strict=True)}
    if outcomes:
        ended = {row["workflow_uuid"] for row in next(remaining)}
        answers |= {id(outcome): outcome.workflow_id in ended for outcome in outcomes}
    return [answers[id(record)] for record in records]


def payload_size(record: Record) -> int:
    """About how many bytes a record is in its statement."""
    if isinstance(record, NewWorkflow):
        return len(record.inputs) + 500
    return len(record.output or "") + len(record.error or "") + 300


def _by_kind(
    records: Sequence[Record],
) -> tuple[list[StepRecord], list[NewWorkflow], list[NewWorkflow], list[OutcomeRecord]]:
    starts = [record for record in records if isinstance(record, NewWorkflow)]
    return (
        [record for record in records if isinstance(record, StepRecord)],
        [start for start in starts if start.parent_step is None],
        [start for start in starts if start.parent_step is not None],
        [record for record in records if isinstance(record, OutcomeRecord)],
    )
