"""What is remembered of the replicas that were wanted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dbos_operator.scaling.history import Peak, ScalingHistory

START = datetime(2025, 1, 1, tzinfo=UTC)
MINUTE = timedelta(seconds=60)


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_an_empty_history_has_no_highest() -> None:
    assert ScalingHistory().highest is None


def test_a_number_counts_as_wanted_until_the_next_one_is_recorded() -> None:
    history = ScalingHistory().record(5, _at(0), MINUTE).record(2, _at(600), MINUTE)
    assert history.peaks == (Peak(5, _at(600)), Peak(2, _at(600)))


def test_a_peak_goes_exactly_one_window_after_it_ended() -> None:
    history = ScalingHistory().record(5, _at(0), MINUTE).record(2, _at(5), MINUTE)
    assert history.record(2, _at(64), MINUTE).highest == Peak(5, _at(5))
    assert history.record(2, _at(65), MINUTE).highest == Peak(2, _at(65))


def test_without_a_window_nothing_is_remembered() -> None:
    history = ScalingHistory().record(5, _at(0), timedelta(0)).record(2, _at(5), timedelta(0))
    assert history.peaks == (Peak(2, _at(5)),)


def test_a_higher_number_replaces_the_lower_ones_before_it() -> None:
    history = ScalingHistory()
    for second, wanted in enumerate((9, 4, 2, 4)):
        history = history.record(wanted, _at(second), MINUTE)
    assert [peak.wanted for peak in history.peaks] == [9, 4]


def test_a_clock_that_steps_back_does_not_shorten_what_was_wanted() -> None:
    history = ScalingHistory().record(5, _at(10), MINUTE).record(2, _at(0), MINUTE)
    assert history.highest == Peak(5, _at(10))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 90)), max_size=60))
def test_the_highest_is_the_most_wanted_at_any_moment_of_the_window(steps: list[tuple[int, int]]) -> None:
    history, second = ScalingHistory(), 0
    wanted_until: list[tuple[int, int]] = []
    for wanted, pause in steps:
        second += pause
        if wanted_until:
            wanted_until[-1] = (wanted_until[-1][0], second)
        wanted_until.append((wanted, second))
        history = history.record(wanted, _at(second), MINUTE)
        expected = max(number for number, until in wanted_until if second - until < 60)
        assert history.highest is not None
        assert history.highest.wanted == expected
        assert len(history.peaks) <= 31
