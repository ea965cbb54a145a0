"""Rounds become values, ratios and rows of a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pytest

from benchmarks.bench import choose, command
from benchmarks.page import with_tables
from benchmarks.suite.figures import Better, Figure, amount, milliseconds, rate
from benchmarks.suite.report import as_markdown, number
from benchmarks.suite.results import Result, Run, Summary, percentile, read_run, result_of, summarize, write_run
from benchmarks.suite.runner import Task, run_tasks
from benchmarks.suite.sides import Side

FAST = rate("fast", "work", times=2.0)
SHORT = milliseconds("short", "wait", 50, bound=5)
MACHINE = {
    "date": "2026-11-21",
    "command": "make bench",
    "rounds": 3,
    "commit": "abc",
    "processor": "a processor",
    "cores": 2,
    "system": "Linux",
    "python": "3.11",
    "postgres": "15",
    "load_before": 0.1,
    "load_after": 2.0,
}


def a_result(figure: Figure = FAST, ours: float = 300.0, peer: float = 100.0) -> Result:
    found = ours if figure.percentile is None else [ours]
    theirs = peer if figure.percentile is None else [peer]
    return result_of(figure, [{figure.reads: found}], [{figure.reads: theirs}])


def test_the_value_of_a_number_is_the_median_of_its_rounds() -> None:
    summary = summarize(FAST, [{"rate": 10}, {"rate": 90}, {"rate": 20}])

    assert summary == Summary(value=20.0, low=10.0, high=90.0, rounds=(10.0, 90.0, 20.0))


def test_the_value_of_samples_is_the_percentile_of_all_rounds_together() -> None:
    summary = summarize(SHORT, [{"milliseconds": [1.0, 2.0]}, {"milliseconds": [3.0, 9.0, 9.0]}])

    assert (summary.value, summary.low, summary.high) == (3.0, 1.0, 9.0)


@pytest.mark.parametrize(("rank", "expected"), [(50, 50), (99, 99), (100, 100), (1, 1), (0, 1)])
def test_a_percentile_is_one_of_the_samples(rank: int, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), rank) == expected


def test_a_ratio_above_one_is_always_in_our_favour() -> None:
    assert a_result(FAST, ours=300, peer=100).ratio == 3
    assert a_result(SHORT, ours=10, peer=40).ratio == 4


def test_an_aim_is_reached_by_the_ratio_or_by_the_value() -> None:
    assert a_result(FAST, ours=200, peer=100).reached is True
    assert a_result(FAST, ours=199, peer=100).reached is False
    assert a_result(SHORT, ours=5, peer=1).reached is True
    assert a_result(amount("x", "x", "", "x"), ours=5, peer=1).reached is None


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    alone = replace(a_result(), key="alone", peer=None)
    run = Run(MACHINE, (a_result(), a_result(SHORT, 4, 8), alone))
    write_run(run, tmp_path / "folder" / "run.json")

    assert read_run(tmp_path / "folder" / "run.json") == run


def test_a_run_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 0}', encoding="utf-8")

    with pytest.raises(ValueError, match="expected format 1, got 0"):
        read_run(tmp_path / "run.json")


def test_a_table_tells_values_spreads_and_what_was_missed() -> None:
    tables = as_markdown(Run(MACHINE, (a_result(), a_result(SHORT, 12.34, 8))))

    assert "| work | 300/s | 100/s | 3x | 300 to 300 | 100 to 100 | ≥ 2x |" in tables
    assert "| wait | 12.3 ms | 8 ms | 0.648x | 12.3 to 12.3 | 8 to 8 | ≤ 5 ms, missed |" in tables


@pytest.mark.parametrize(
    ("value", "expected"), [(12345.0, "12,300"), (3.0, "3"), (0.1234, "0.123"), (99.96, "100"), (0.0, "0")]
)
def test_a_number_has_the_digits_that_repeat(value: float, expected: str) -> None:
    assert number(value) == expected


def test_sides_take_turns_and_change_who_begins() -> None:
    turns: list[Side] = []

    def take(side: Side) -> dict[str, float]:
        turns.append(side)
        return {"rate": 2.0 if side is Side.OURS else 1.0}

    [result] = run_tasks([Task("work", (FAST,), take)], rounds=3, say=lambda _line: None)

    assert turns == [Side.OURS, Side.PEER, Side.PEER, Side.OURS, Side.OURS, Side.PEER]
    assert result.ratio == 2
    assert result.better is Better.MORE


def test_measures_are_chosen_by_name_or_by_how_names_begin() -> None:
    tasks = [Task(name, (), lambda _side: {}) for name in ("idle-1", "idle-10", "drain")]

    assert [task.name for task in choose(tasks, "")] == ["idle-1", "idle-10", "drain"]
    assert [task.name for task in choose(tasks, "drain, idle-1")] == ["idle-1", "drain"]
    assert [task.name for task in choose(tasks, "idle")] == ["idle-1", "idle-10"]
    with pytest.raises(click.UsageError, match="got 'dra'"):
        choose(tasks, "dra")


def test_a_run_tells_the_command_that_repeats_it() -> None:
    assert command("idle,drain", 2, quick=True) == "make bench ONLY=idle,drain ROUNDS=2 QUICK=1"


def test_tables_take_the_place_of_others_and_leave_the_page() -> None:
    begin, end = "<!-- the run: written by `make bench-page` -->", "<!-- the end of the run -->"
    page = f"before\n{begin}\nold\n{end}\nafter\n"

    once = with_tables(page, "new\n")

    assert once == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    assert with_tables(once, "new\n") == once
    with pytest.raises(ValueError, match="expected the lines"):
        with_tables("no place", "new")
