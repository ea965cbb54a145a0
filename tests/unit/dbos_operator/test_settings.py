from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dbos_operator.settings import OperatorSettings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tick", timedelta(0)),
        ("sample", timedelta(seconds=-1)),
        ("coalesce", timedelta(seconds=-1)),
        ("arrival", timedelta(seconds=-1)),
        ("parallel_writes", 0),
        ("namespaces", ("a", " ")),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        OperatorSettings(**{field: value})


def test_no_namespace_means_all() -> None:
    assert OperatorSettings().watches("anything")
    assert OperatorSettings(namespaces=("a",)).watches("a")
    assert not OperatorSettings(namespaces=("a",)).watches("b")
