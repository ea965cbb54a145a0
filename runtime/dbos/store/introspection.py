"""Filtered lists of workflows and steps. The ids are paged first; payloads are joined late."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    Engine,
    FromClause,
    MetaData,
    Select,
    Table,
    and_,
    asc,
    bindparam,
    cast,
    desc,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import JSON, BigInteger, Boolean, Text

from dbos.store.backend import QueryBound
from dbos.store.dialects.postgres_engine import read
from dbos.store.dialects.sqlite import CONTAINS_FUNCTION
from dbos.store.filters import StepFilter, WorkflowFilter
from dbos.store.obstacles import PARTITION_LIMITS, is_undispatchable
from dbos.store.operation import Row

_TEXT = [
    "workflow_uuid",
    "status",
    "name",
    "class_name",
    "config_name",
    "authenticated_user",
    "assumed_role",
    "authenticated_roles",
    "queue_name",
    "executor_id",
    "application_version",
    "application_id",
    "application_name",
    "deduplication_id",
    "queue_partition_key",
    "forked_from",
    "parent_workflow_id",
    "serialization",
    "schedule_name",
    "inputs",
    "output",
    "error",
]
_NUMBERS = [
    "created_at",
    "updated_at",
    "completed_at",
    "started_at_epoch_ms",
    "workflow_timeout_ms",
    "workflow_deadline_epoch_ms",
    "delay_until_epoch_ms",
    "recovery_attempts",
    "priority",
]
_APART = {"inputs", "output", "error", "attributes"}
"""Columns of a listing that are not given as they stand in their row."""


def list_workflows(
    engine: Engine,
    schema: str | None,
    wanted: WorkflowFilter,
    *,
    load_input: bool,
    load_output: bool,
    bound: QueryBound,
) -> list[Row]:
    """The rows of workflow_status that match, with `inputs`, `output` and `error` where asked for.

    `attributes` are the stored text. Raises DBOSQueryTimeoutError when that takes longer than `bound` says.
    """
    tables = _tables(schema)
    status = tables.status
    page = _page(status, wanted)
    columns: list[Any] = [column for column in status.columns if column.name not in _APART]
    columns.append(cast(status.c.attributes, Text).label("attributes"))
    joined: Any = page.join(status, status.c.workflow_uuid == page.c.workflow_uuid)
    if load_input:
        payload = tables.input
        joined = joined.outerjoin(payload, payload.c.workflow_uuid == status.c.workflow_uuid)
        columns.append(func.coalesce(payload.c.inputs, status.c.inputs).label("inputs"))
    if load_output:
        result = tables.output
        joined = joined.outerjoin(result, result.c.workflow_uuid == status.c.workflow_uuid)
        columns.append(func.coalesce(result.c.output, status.c.output).label("output"))
        columns.append(func.coalesce(result.c.error, status.c.error).label("error"))
    query = select(*columns).select_from(joined).order_by(*_order(status, wanted))
    return read(engine, query, bound)


def list_steps(engine: Engine, schema: str | None, wanted: StepFilter, *, bound: QueryBound) -> list[Row]:
    """The recorded steps of a workflow in order. Raises as list_workflows."""
    steps = _tables(schema).steps
    columns = [column for column in steps.columns if wanted.load_output or column.name not in {"output", "error"}]
    query = select(*columns).where(steps.c.workflow_uuid == wanted.workflow_id).order_by(steps.c.function_id)
    return read(engine, query.limit(wanted.limit).offset(wanted.offset), bound)


class _Tables:
    def __init__(self, schema: str | None) -> None:
        metadata = MetaData(schema=schema)
        text = [Column(name, Text) for name in _TEXT]
        numbers = [Column(name, BigInteger) for name in _NUMBERS]
        self.status = Table(
            "workflow_status",
            metadata,
            *text,
            *numbers,
            Column("was_forked_from", Boolean),
            Column("attributes", JSON),
        )
        self.queues = Table(
            "queues",
            metadata,
            Column("name", Text),
            Column("application_name", Text),
            *[Column(name, BigInteger) for name in PARTITION_LIMITS],
        )
        self.input = Table("workflow_input", metadata, Column("workflow_uuid", Text), Column("inputs", Text))
        self.steps = Table(
            "operation_outputs",
            metadata,
            *[Column(name, Text) for name in ("workflow_uuid", "function_name", "output", "error")],
            *[Column(name, Text) for name in ("child_workflow_id", "serialization")],
            *[Column(name, BigInteger) for name in ("function_id", "started_at_epoch_ms", "completed_at_epoch_ms")],
        )
        self.output = Table(
            "workflow_output", metadata, Column("workflow_uuid", Text), Column("output", Text), Column("error", Text)
        )


class _Contains(FunctionElement[bool]):
    """Whether a JSON column has all that a JSON text says."""

    inherit_cache = True


@compiles(_Contains)
def _contains(element: _Contains, compiler: Any, **options: Any) -> str:
    column, sought = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} @> CAST({sought} AS JSONB)"


@compiles(_Contains, "sqlite")
def _contains_by_function(element: _Contains, compiler: Any, **options: Any) -> str:
    column, sought = (compiler.process(part, **options) for part in element.clauses)
    return f"{CONTAINS_FUNCTION}({column}, {sought})"


@cache
def _tables(schema: str | None) -> _Tables:
    """The same objects for every query: SQLAlchemy compiles a query anew for tables that it has not seen before."""
    return _Tables(schema)


def _page(status: Table, wanted: WorkflowFilter) -> FromClause:
    """The ids of one page: of each set of statuses that a partial index serves, all of them together."""
    arms = [_arm(status, wanted, served) for served in _served(wanted.status)]
    if len(arms) == 1:
        return arms[0].limit(wanted.limit).offset(wanted.offset).subquery("page")
    if wanted.limit is None and wanted.offset is None:
        return union_all(*arms).subquery("page")
    if wanted.limit is not None:  # the newest of all are among the newest of each
        arms = [arm.limit(wanted.limit + (wanted.offset or 0)) for arm in arms]
    found = union_all(*(select(arm.subquery()) for arm in arms)).subquery("found")
    ordered = select(found.c.workflow_uuid).order_by(*_order(found, wanted))
    return ordered.limit(wanted.limit).offset(wanted.offset).subquery("page")


_PARTIAL = (("ENQUEUED", "PENDING"), ("DELAYED",), ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"))
"""Statuses that an index of their own serves, written as its predicate is: neither planner sees through a parameter."""


def _served(statuses: Sequence[str] | None) -> Sequence[tuple[str, ...] | None]:
    """The predicates of the partial indexes that hold all these statuses; one None where there are no such."""
    used = [served for served in _PARTIAL if set(served) & set(statuses or ())]
    return used if used and set(statuses or ()) <= {status for served in used for status in served} else [None]


def _order(table: FromClause, wanted: WorkflowFilter) -> tuple[Any, Any]:
    order = desc if wanted.newest_first else asc
    return order(table.c.created_at), order(table.c.workflow_uuid)


def _arm(status: Table, wanted: WorkflowFilter, served: tuple[str, ...] | None) -> Select[Any]:
    conditions: list[Any] = []
    if served is not None:
        conditions.append(status.c.status.in_(bindparam(None, served, expanding=True, literal_execute=True)))
    for column, values in _choices(status, wanted).items():
        conditions.append(column == values[0] if len(values) == 1 else column.in_(list(values)))
    if wanted.workflow_id_prefix is not None:
        ids = status.c.workflow_uuid
        # SQLite's LIKE takes capital and small letters for the same, hence both conditions.
        conditions.append(
            or_(
                false(),  # no prefix is a choice of none
                *(
                    and_(ids.startswith(prefix, autoescape=True), func.substr(ids, 1, len(prefix)) == prefix)
                    for prefix in wanted.workflow_id_prefix
                ),
            )
        )
    conditions += _ranges(status, wanted)
    for column, present in ((status.c.forked_from, wanted.is_fork), (status.c.parent_workflow_id, wanted.has_parent)):
        if present is not None:
            conditions.append(column.is_not(None) if present else column.is_(None))
    if wanted.queued_only:
        conditions.append(status.c.queue_name.is_not(None))
    if wanted.was_forked_from is not None:
        conditions.append(status.c.was_forked_from.is_(wanted.was_forked_from))
    if wanted.attributes:
        conditions.append(_Contains(status.c.attributes, literal(json.dumps(wanted.attributes), Text)))
    if wanted.undispatchable is not None:
        stuck = is_undispatchable(status, _tables(status.schema).queues, wanted.refused)
        conditions.append(stuck if wanted.undispatchable else not_(stuck))
    if wanted.applications is not None:
        name = status.c.application_name
        conditions.append(or_(name.in_(list(wanted.applications)), name.is_(None)))
    query = select(status.c.workflow_uuid, status.c.created_at).where(and_(literal_column("true"), *conditions))
    return query if wanted.limit is None and wanted.offset is None else query.order_by(*_order(status, wanted))


def _ranges(status: Table, wanted: WorkflowFilter) -> list[Any]:
    ranges = (
        (status.c.created_at, wanted.created_from_ms, wanted.created_to_ms),
        (status.c.completed_at, wanted.completed_from_ms, wanted.completed_to_ms),
        (status.c.started_at_epoch_ms, wanted.dequeued_from_ms, wanted.dequeued_to_ms),
    )
    least = [column >= since for column, since, _ in ranges if since is not None]
    return least + [column <= until for column, _, until in ranges if until is not None]


def _choices(status: Table, wanted: WorkflowFilter) -> Mapping[Any, Sequence[str]]:
    choices = {
        status.c.workflow_uuid: wanted.workflow_ids,
        status.c.status: wanted.status,
        status.c.name: wanted.name,
        status.c.queue_name: wanted.queue_name,
        status.c.executor_id: wanted.executor_id,
        status.c.application_version: wanted.app_version,
        status.c.authenticated_user: wanted.user,
        status.c.forked_from: wanted.forked_from,
        status.c.parent_workflow_id: wanted.parent_workflow_id,
        status.c.schedule_name: wanted.schedule_name,
    }
    return {column: values or ("",) for column, values in choices.items() if values is not None}
