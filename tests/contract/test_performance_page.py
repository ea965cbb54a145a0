"""The page about performance shows the run that is committed beside it, and measures that exist."""

from __future__ import annotations

import re

from benchmarks.page import PAGE, RUN, with_tables
from benchmarks.suite.operator_catalogue import Sizes, few_figures, many_figures, ready_figures, scale_figures
from benchmarks.suite.report import as_markdown
from benchmarks.suite.results import read_run
from benchmarks.suite.runtime_catalogue import RUNTIME


def test_the_tables_are_those_of_the_committed_run() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == with_tables(page, as_markdown(read_run(RUN))), "`make bench-page` writes them"


def test_the_committed_run_measured_everything_that_is_measured() -> None:
    sizes = Sizes()
    operator = (*ready_figures(sizes), *few_figures(sizes), *many_figures(sizes), *scale_figures())
    known = [(each.key, each.title) for each in (*(found for task in RUNTIME for found in task.figures), *operator)]

    assert [(result.key, result.title) for result in read_run(RUN).results] == known


def test_every_name_in_an_example_is_one_of_a_measure() -> None:
    names = {measure.name for measure in RUNTIME}
    chosen = re.findall(r"ONLY=(\S+)", PAGE.read_text(encoding="utf-8"))

    for name in (name for each in chosen for name in each.split(",")):
        assert any(known == name or known.startswith(f"{name}-") for known in names)
