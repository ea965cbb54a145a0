"""The conditions of the resources, from what was decided and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from dbos_operator.decide.child import ChildPlan
from dbos_operator.decide.rows import Columns
from dbos_operator.errors import OperatorError
from dbos_operator.loop.apply import Outcome
from dbos_operator.loop.scale import TargetPlan
from dbos_operator.reasons import Reason
from dbos_operator.resources.conditions import Condition, ConditionType, Truth, ready, reconciling, stalled
from dbos_operator.resources.identity import Kind, ObjectKey
from dbos_operator.resources.resource import Problem

_HEALS = frozenset(
    {
        Reason.PENDING,
        Reason.DATABASE_UNAVAILABLE,
        Reason.DATABASE_NOT_READY,
        Reason.WRITE_FAILED,
        Reason.CLUSTER_UNAVAILABLE,
        Reason.FORBIDDEN,
        Reason.DELETING,
    }
)
_ARRIVES = frozenset({Reason.DATABASE_NOT_FOUND, Reason.SECRET_NOT_FOUND, Reason.SECRET_KEY_NOT_FOUND})
_SCHEMA = frozenset(
    {Reason.SCHEMA_MISSING, Reason.SCHEMA_TOO_OLD, Reason.SCHEMA_UNUSABLE, Reason.OPERATOR_SCHEMA_MISSING}
)


@lru_cache(maxsize=16384)
def _ready(reason: Reason, message: str) -> tuple[Condition, ...]:
    """Made once: nearly every resource says the same at every pass."""
    return ready(reason, message)


def problem_conditions(problem: Problem, *, new: bool = False) -> tuple[Condition, ...]:
    """Not ready: until it heals, or until somebody acts. What is missing may arrive while the trouble is `new`."""
    heals = problem.reason in _HEALS or (new and problem.reason in _ARRIVES)
    return (reconciling if heals else stalled)(problem.reason, problem.message)


def database_failure(error: OperatorError, *, new: bool = False) -> tuple[Condition, ...]:
    """The conditions of a database that cannot be worked with. `new` as for problem_conditions."""
    conditions = problem_conditions(Problem(error.reason, str(error)), new=new)
    if error.reason in _SCHEMA:
        return (*conditions, Condition(ConditionType.SCHEMA_SUPPORTED, Truth.FALSE, error.reason, str(error)))
    return conditions


def child_of_failed_database(key: ObjectKey, reason: Reason) -> tuple[Condition, ...]:
    """The conditions of a resource whose database cannot be worked with: the same text however often it is tried."""
    return reconciling(Reason.DATABASE_NOT_READY, f"DBOSDatabase {key} is not ready: {reason}")


def child_conditions(child: ChildPlan, outcome: Outcome) -> tuple[Condition, ...]:
    """The conditions of a resource after a pass."""
    problem = child.problem or _open(child, outcome)
    if problem is not None:
        return problem_conditions(problem)
    if child.suspended:
        return _ready(Reason.SUSPENDED, f"the row {child.row_name!r} is paused{_adopted(child)}")
    return _ready(Reason.RECONCILED, f"the row {child.row_name!r} is as this resource says{_adopted(child)}")


def _open(child: ChildPlan, outcome: Outcome) -> Problem | None:
    """What is still to be done, and will be without anybody's help."""
    uid = child.resource.identity.uid
    applied = outcome.children.get(uid)
    if applied is not None and applied.error is not None:
        return Problem(Reason.WRITE_FAILED, applied.error)
    if child.deleting:
        return Problem(Reason.DELETING, child.waits_for or _farewell(child, refused=applied is not None))
    if child.change is not None and uid in outcome.refused:
        return Problem(Reason.PENDING, f"the finalizer could not be set: {outcome.refused[uid]}")
    if applied is not None and not applied.took_effect:
        return Problem(Reason.PENDING, "the row changed while it was looked at")
    return None


def _farewell(child: ChildPlan, *, refused: bool) -> str:
    """What a row that is still there waits for; only a queue's is refused, for what a look does not count."""
    if refused and child.resource.identity.kind is Kind.QUEUE:
        return f"the row goes when the queue {child.row_name!r} is empty: delayed workflows are on it"
    return "the row is being let go of"


def scaling_condition(target: TargetPlan | None, conflict: Problem | None) -> Condition:
    """Whether replicas follow the queue."""
    if conflict is not None:
        return _inactive(conflict.reason, conflict.message)
    if target is None:
        return _inactive(Reason.STALE_DATA, "no fresh numbers: the replicas stay as they are")
    if target.problem is not None:
        return _inactive(target.problem.reason, target.problem.message)
    decision = target.decision
    truth = Truth.of(decision.reason is Reason.SCALED_ON_DEMAND)
    message = f"replicas of {target.target} follow the queue" if truth is Truth.TRUE else decision.message
    return Condition(ConditionType.SCALING_ACTIVE, truth, decision.reason, message)


def stale_scaling() -> Condition:
    """Of a queue whose database does not answer."""
    return _inactive(Reason.STALE_DATA, "no fresh numbers: the replicas stay as they are")


def _inactive(reason: Reason, message: str) -> Condition:
    return Condition(ConditionType.SCALING_ACTIVE, Truth.FALSE, reason, message)


def _adopted(child: ChildPlan) -> str:
    return "" if child.previous is None else f"; it was adopted with {_values(child.previous)}"


def _values(columns: Columns | Mapping[str, object]) -> str:
    told = [f"{name} {value}" for name, value in sorted(columns.items()) if value is not None and name != "context"]
    return ", ".join(told) or "no limits"
