from __future__ import annotations

from datetime import timedelta

from dbos_operator.errors import DatabaseUnavailableError
from dbos_operator.loop.breaker import Breaker
from support.builders import NOW

LONGEST = timedelta(seconds=15)
ERROR = DatabaseUnavailableError("away")


def test_pauses_double_up_to_the_longest() -> None:
    breaker, pauses = Breaker(longest=LONGEST), []
    for _ in range(7):
        breaker = breaker.failed(ERROR, NOW)
        assert breaker.open_until is not None
        pauses.append((breaker.open_until - NOW).total_seconds())
    assert pauses == [1, 2, 4, 8, 15, 15, 15]


def test_it_holds_until_the_pause_is_over_and_says_why() -> None:
    breaker = Breaker(longest=LONGEST).failed(ERROR, NOW)
    assert breaker.holds(NOW) is ERROR
    assert breaker.holds(NOW + timedelta(seconds=1)) is None


def test_a_success_closes_it() -> None:
    breaker = Breaker(longest=LONGEST).failed(ERROR, NOW).succeeded()
    assert breaker == Breaker(longest=LONGEST)
    assert breaker.holds(NOW) is None
