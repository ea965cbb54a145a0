"""Spans around workflows, steps and operations. Without a Tracing they cost one comparison each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from dbos.engine.context import Execution, current_execution
from dbos.engine.plan import Plan
from dbos.engine.services import Services
from dbos.engine.tracing import NOT_RECORDED, Recording, Tracing, add_carrier, trace_carrier

P = ParamSpec("P")
T = TypeVar("T")
PlanMaker = Callable[Concatenate[Services, P], Plan[T]]


def workflow_span(services: Services, execution: Execution) -> Recording:
    """The span of an execution, for a `with` block around its function."""
    return NOT_RECORDED if services.tracing is None else services.tracing.workflow(execution)


def step_span(services: Services, execution: Execution, name: str) -> Recording:
    """The span of a step with all its attempts, for a `with` block."""
    return NOT_RECORDED if services.tracing is None else services.tracing.operation(execution, name, "step")


def spanned(name: str) -> Callable[[PlanMaker[P, T]], PlanMaker[P, T]]:
    """Give the plans that a function makes a span of that name, where a workflow performs them for the first time."""

    def decorate(make: PlanMaker[P, T]) -> PlanMaker[P, T]:
        @functools.wraps(make)
        def made(services: Services, /, *args: P.args, **kwargs: P.kwargs) -> Plan[T]:
            plan = make(services, *args, **kwargs)
            return plan if services.tracing is None else _in_span(services.tracing, name, plan)

        return made

    return decorate


def with_trace(services: Services, attributes: Any) -> Any:
    """The attributes of a workflow that is started here, with the trace that it belongs to if there is one."""
    carrier = trace_carrier.get()
    if carrier is None and services.tracing is not None:
        carrier = services.tracing.carrier()
    return add_carrier(attributes, carrier)


def trace_of_start(services: Services) -> object:
    """What the span of a workflow that is started here hangs on; None where nothing is recorded."""
    return None if services.tracing is None else services.tracing.here()


def _in_span(tracing: Tracing, name: str, plan: Plan[T]) -> Plan[T]:
    execution = current_execution.get()
    if execution is None or execution.function_id + 1 in execution.checkpoints:
        return (yield from plan)
    with tracing.operation(execution, name, None) as span:
        result = yield from plan
        span.ended(None)
        return result
