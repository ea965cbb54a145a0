"""The runtime's measures as tasks, each run on a fresh database of one server."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

from benchmarks.suite.figures import Measure
from benchmarks.suite.history import fill_history
from benchmarks.suite.runner import Task
from benchmarks.suite.runtime_catalogue import HISTORY, LISTED, QUICK_HISTORY, RUNTIME
from benchmarks.suite.sides import Found, Side, run_workload
from benchmarks.suite.wire import counted
from support.postgres import PostgresServer


class RuntimeMeasures:
    """Takes the measures of the runtime on one server."""

    def __init__(self, server: PostgresServer, *, quick: bool) -> None:
        self._server = server
        self._quick = quick

    def tasks(self) -> list[Task]:
        """Every measure, in the order of the table."""
        return [
            Task(name=measure.name, figures=measure.figures, take=partial(self.take, measure), rounds=measure.rounds)
            for measure in RUNTIME
        ]

    def take(self, measure: Measure, side: Side) -> Found:
        """One measure of one side."""
        parameters = measure.parameters(peer=side is Side.PEER, quick=self._quick)
        if measure.kind == "listing":
            return run_workload(side, measure.kind, self._history_url, parameters).found
        with self._server.database() as url:
            if measure.kind != "idle":
                return run_workload(side, measure.kind, url, parameters).found
            if parameters["idle_seconds"]:
                return _idle(side, url, parameters)
            heard = run_workload(side, measure.kind, url, parameters)
            return {"ready_milliseconds": (heard.found["ready_at"] - heard.started_at) * 1000}

    @cached_property
    def _history_url(self) -> str:
        url = self._server.create_database()
        fill_history(url, ended=QUICK_HISTORY if self._quick else HISTORY, waiting=LISTED)
        return url


def _idle(side: Side, url: str, parameters: Mapping[str, Any]) -> Found:
    """The round trips between the line that says the worker has settled, and the one that says it is over."""
    with counted(url) as (through, count):
        before: dict[str, int] = {}

        def note(line: str) -> None:
            if line in {"settled", "over"}:
                before[line] = count.round_trips

        found = run_workload(side, "idle", through, parameters, on_line=note).found
    return {**found, "round_trips": (before["over"] - before["settled"]) / parameters["idle_seconds"]}
