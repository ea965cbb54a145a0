"""The error classes: their codes, their sentences, and that each survives a pickle."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from dbos import _error, error
from dbos._error import DBOSBaseException, DBOSErrorCode, DBOSException
from dbos._serialization import PortableWorkflowError
from dbos.engine.context import ExecutionStoppedError

EXAMPLES: list[tuple[BaseException, int | None, type[BaseException]]] = [
    (_error.DBOSException("text"), None, Exception),
    (_error.DBOSException("text", 99), 99, Exception),
    (_error.DBOSBaseException("text", 98), 98, BaseException),
    (_error.DBOSWorkflowConflictIDError("w"), 1, BaseException),
    (_error.DBOSRecoveryError("w", "why"), 2, Exception),
    (_error.DBOSInitializationError("why"), 3, Exception),
    (_error.DBOSWorkflowFunctionNotFoundError("w", "why"), 4, Exception),
    (_error.DBOSNonExistentWorkflowError("target", "w"), 5, Exception),
    (_error.MaxRecoveryAttemptsExceededError("w", 3), 6, Exception),
    (_error.DBOSMaxStepRetriesExceeded("step", 3, [ValueError("a"), KeyError("b")]), 7, Exception),
    (_error.DBOSNotAuthorizedError("why"), 8, Exception),
    (_error.DBOSConflictingWorkflowError("w", "why"), 9, Exception),
    (_error.DBOSWorkflowCancelledError("why"), 10, BaseException),
    (_error.DBOSUnexpectedStepError("w", 4, "wanted", "found"), 11, Exception),
    (_error.DBOSQueueDeduplicatedError("w", "q", "d"), 12, Exception),
    (_error.DBOSAwaitedWorkflowCancelledError("w"), 13, Exception),
    (_error.DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded("w"), 14, Exception),
    (_error.DBOSPatchNondeterminismError("w", "patch", "why"), 15, Exception),
    (_error.DBOSStreamTimeoutError("w", "key", 1.5), 16, Exception),
    (_error.DBOSStreamTimeoutError("w", "key"), 16, Exception),
    (_error.DBOSStreamNondeterminismError("w", "key"), 17, Exception),
    (_error.DBOSStepTimeoutError("step", 1.5), 18, Exception),
    (_error.DBOSQueryTimeoutError(1.5), 26, Exception),
    (_error.DBOSWorkflowIDInUseError("w", "PENDING", "name"), 27, Exception),
    (_error.DBOSStepNondeterminismError("w", 3), 28, Exception),
    (ExecutionStoppedError(), None, BaseException),
]


def _comparable(value: Any) -> Any:
    return repr(value) if isinstance(value, BaseException | list | tuple) else value


@pytest.mark.parametrize(("example", "code", "base"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_an_error_survives_a_pickle_with_all_it_knows(
    example: Any, code: int | None, base: type[BaseException]
) -> None:
    for again in (pickle.loads(pickle.dumps(example)), copy.copy(example)):
        assert type(again) is type(example)
        assert str(again) == str(example)
        assert {name: _comparable(value) for name, value in vars(again).items()} == {
            name: _comparable(value) for name, value in vars(example).items()
        }


@pytest.mark.parametrize(("example", "code", "base"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_an_error_has_its_code_in_its_text_and_its_base(
    example: Any, code: int | None, base: type[BaseException]
) -> None:
    assert example.dbos_error_code == code
    assert str(example).startswith("DBOS Error: " if code is None else f"DBOS Error {code}: ")
    assert isinstance(example, DBOSException if base is Exception else DBOSBaseException)
    assert isinstance(example, Exception) is (base is Exception)


def test_every_class_has_an_example_above() -> None:
    classes = {
        value
        for value in vars(_error).values()
        if isinstance(value, type) and issubclass(value, DBOSException | DBOSBaseException)
    }
    assert {type(example) for example, _, _ in EXAMPLES} >= classes


def test_every_class_is_in_the_public_module() -> None:
    named = {name for name in vars(_error) if name.startswith(("DBOS", "Max", "is_workflow_id"))}
    assert named == set(error.__all__)
    assert all(getattr(error, name) is getattr(_error, name) for name in named)


def test_a_taken_id_is_recognised_in_every_form() -> None:
    assert error.is_workflow_id_in_use_error(_error.DBOSWorkflowIDInUseError("w", "PENDING", "name"))
    assert error.is_workflow_id_in_use_error(PortableWorkflowError("in use", "DBOSWorkflowIDInUseError", 27))
    assert not error.is_workflow_id_in_use_error(PortableWorkflowError("in use", "KeyError", 27))
    assert not error.is_workflow_id_in_use_error(ValueError("in use"))


def test_codes_are_plain_numbers_in_stored_errors() -> None:
    stored = pickle.loads(pickle.dumps(_error.DBOSQueueDeduplicatedError("w", "q", "d")))
    assert type(stored.dbos_error_code) is int
    assert stored.dbos_error_code == DBOSErrorCode.QueueDeduplicated
