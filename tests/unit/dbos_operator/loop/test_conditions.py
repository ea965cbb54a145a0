"""Which trouble heals by itself, and which is somebody's to end."""

from __future__ import annotations

import pytest

from dbos_operator.loop.conditions import problem_conditions
from dbos_operator.reasons import Reason
from dbos_operator.resources.conditions import ConditionType, Truth
from dbos_operator.resources.resource import Problem


def _told(reason: Reason, *, new: bool) -> ConditionType:
    [true] = [each for each in problem_conditions(Problem(reason, "why"), new=new) if each.status is Truth.TRUE]
    assert (true.reason, true.message) == (reason, "why")
    return true.type


@pytest.mark.parametrize("reason", [Reason.DATABASE_NOT_FOUND, Reason.SECRET_NOT_FOUND, Reason.SECRET_KEY_NOT_FOUND])
def test_what_is_missing_may_be_on_its_way_at_first(reason: Reason) -> None:
    assert _told(reason, new=True) is ConditionType.RECONCILING
    assert _told(reason, new=False) is ConditionType.STALLED


def test_other_trouble_stays_what_it_is() -> None:
    for new in (True, False):
        assert _told(Reason.NAME_TAKEN, new=new) is ConditionType.STALLED
        assert _told(Reason.DATABASE_UNAVAILABLE, new=new) is ConditionType.RECONCILING
