"""The back-off of a pod's process, and what its environment says."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from dbos_operator.local.processes import BackOff, with_own_tools


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (10_000, 300)])
def test_each_end_in_a_row_doubles_the_wait_up_to_five_minutes(failures: int, seconds: int) -> None:
    assert BackOff().delay(failures) == timedelta(seconds=seconds)


def test_a_run_of_ten_minutes_starts_the_count_again() -> None:
    back_off = BackOff()

    assert back_off.failures_after(5, timedelta(minutes=9)) == 6
    assert back_off.failures_after(5, timedelta(minutes=10)) == 1


def test_python_and_dbos_are_found_beside_the_operators_own_interpreter_first() -> None:
    env = with_own_tools({"PATH": "/usr/bin", "A": "b"})

    assert env == {"PATH": f"{Path(sys.executable).parent}:/usr/bin", "A": "b"}
