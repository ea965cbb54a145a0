"""Arguments that cannot be are refused in the words of Python and of the published package at once."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from dbos import SetEnqueueOptions, SetWorkflowID, SetWorkflowTimeout
from dbos._error import DBOSException
from dbos.core.refusals import InvalidArgumentError, said_by

REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: SetWorkflowID(" "), "workflow ID: expected text that is not blank"),
    (lambda: SetWorkflowID("w", workflow_id_reuse_policy="other"), "workflow_id_reuse_policy: expected"),  # type: ignore[arg-type]
    (lambda: SetEnqueueOptions(priority=0), "priority: expected 1 to"),
    (lambda: SetEnqueueOptions(duplication_policy="other"), "duplication_policy: expected"),  # type: ignore[arg-type]
    (lambda: SetWorkflowTimeout(0), "workflow_timeout_sec: expected more than 0"),
]


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=[said for _, said in REFUSED])
@pytest.mark.parametrize("caught", [ValueError, DBOSException])
def test_a_value_that_cannot_be_is_an_error_of_both_kinds(
    call: Callable[[], object], said: str, caught: type[Exception]
) -> None:
    with pytest.raises(caught, match=said):
        call()


def test_what_an_error_says_is_told_without_the_prefix_of_its_kind() -> None:
    assert said_by(InvalidArgumentError("priority: expected 1")) == "priority: expected 1"
    assert said_by(ValueError("no")) == "no"


def test_a_recorded_refusal_can_be_read_by_every_release() -> None:
    refused = pickle.loads(pickle.dumps(InvalidArgumentError("priority: expected 1")))
    assert type(refused) is DBOSException
    assert str(refused) == "DBOS Error: priority: expected 1"
