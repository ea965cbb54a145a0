"""An operation is store logic that yields named statements; a driver performs them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """One call of a named statement of a catalogue, with its bound parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


Operation = Generator[Statement, list[Row], T]


class DatabaseClosedError(RuntimeError):
    """The system database was closed by this process; nothing was read or written."""

    def __init__(self) -> None:
        super().__init__("The system database is closed; launch DBOS, or make a client, again")


def perform(operation: Operation[T], execute: Callable[[Statement], list[Row]]) -> T:
    """Run an operation to its end; an error of a statement is raised inside the operation first."""
    try:
        statement = next(operation)
        while True:
            try:
                rows = execute(statement)
            except Exception as error:  # noqa: BLE001 -- the operation decides; what it does not catch comes out of throw()
                statement = operation.throw(error)
            else:
                statement = operation.send(rows)
    except StopIteration as done:
        result: T = done.value
        return result


def perform_in_turn(
    operations: Sequence[Operation[Any]], execute: Callable[[Sequence[Statement]], list[list[Row]]]
) -> list[Any]:
    """Run operations of one statement each, all statements sent together; what each returns."""
    results = execute([next(operation) for operation in operations])
    return [_end(operation, rows) for operation, rows in zip(operations, results, strict=True)]


def _end(operation: Operation[T], rows: list[Row]) -> T:
    try:
        operation.send(rows)
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("expected an operation of one statement, and it asks for another")
