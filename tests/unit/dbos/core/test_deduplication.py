"""A policy for duplicates needs something by which there can be one."""

from __future__ import annotations

import pytest

from dbos._error import DBOSException
from dbos.core.deduplication import check_duplication


@pytest.mark.parametrize("deduplication_id", [None, "ada"])
def test_a_duplicate_is_refused_unless_something_else_is_said(deduplication_id: str | None) -> None:
    assert check_duplication(None, deduplication_id) == "reject"
    assert check_duplication("reject", deduplication_id) == "reject"


def test_what_is_there_is_given_for_a_deduplication_id_only() -> None:
    assert check_duplication("return-existing", "ada") == "return-existing"
    with pytest.raises(DBOSException, match="expected a deduplication_id beside 'return-existing'"):
        check_duplication("return-existing", None)
