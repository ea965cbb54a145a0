"""What the engine tells of its workflows and steps while they run, and how a row names the trace that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, Self

from dbos.engine.context import Execution

CARRIER_ATTRIBUTE = "dbos.otelContext"
"""The key among a workflow's attributes that holds the trace of who started it, as every SDK has it."""

trace_carrier: ContextVar[Mapping[str, str] | None] = ContextVar("dbos_trace_carrier", default=None)
"""The trace that a block gives to what is started inside."""


class Recording:
    """A span that is open in a `with` block. This one records nothing; others derive from it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def ended(self, error: BaseException | None) -> None:
        """Say how it ended: well, or in an error. What leaves the block as an exception needs no saying."""

    def retried(self, attempt: int, error: BaseException, delay: float) -> None:
        """Say that an attempt failed (counted from 1) and that the next one begins after some seconds."""


NOT_RECORDED = Recording()


class Tracing(Protocol):
    """Records spans."""

    def workflow(self, execution: Execution) -> Recording:
        """A span of an execution."""
        ...

    def operation(self, execution: Execution, name: str, kind: str | None) -> Recording:
        """A span of a step or of another operation of a workflow."""
        ...

    def here(self) -> object:
        """Where the calling code is, for an execution that begins in another thread or task."""
        ...

    def carrier(self) -> Mapping[str, str] | None:
        """Where the calling code is, as a row holds it; None outside of traces, and where rows shall not."""
        ...


def add_carrier(attributes: Any, carrier: Mapping[str, str] | None) -> Any:
    """The attributes of a workflow with its trace, unless they name one."""
    if not carrier or (attributes and CARRIER_ATTRIBUTE in attributes):
        return attributes
    return {**(attributes or {}), CARRIER_ATTRIBUTE: dict(carrier)}
