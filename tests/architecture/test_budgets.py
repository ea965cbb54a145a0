"""Files and functions stay small enough to be read in one go."""

from __future__ import annotations

from statistics import median

from architecture.sources import functions_of, name_of, python_files

FILE_LINES = 500
MEDIAN_FILE_LINES = 160
FUNCTION_LINES = 60


def _lines(folder: str) -> dict[str, int]:
    return {name_of(path): path.read_text(encoding="utf-8").count("\n") for path in python_files(folder)}


def test_no_file_is_longer_than_its_budget() -> None:
    folders = ("runtime", "operator", "tests", "examples")
    long = {name: lines for folder in folders for name, lines in _lines(folder).items() if lines > FILE_LINES}
    assert not long, f"more than {FILE_LINES} lines usually hold two ideas: {long}"


def test_the_median_file_is_short() -> None:
    lines = [*_lines("runtime").values(), *_lines("operator").values()]
    assert median(lines) < MEDIAN_FILE_LINES


def test_ninety_nine_functions_in_a_hundred_fit_on_a_screen() -> None:
    functions = [function for path in python_files("runtime", "operator") for function in functions_of(path)]
    long = [function for function in functions if function.lines > FUNCTION_LINES]
    assert len(long) * 100 <= len(functions), f"more than {FUNCTION_LINES} lines: {long}"
