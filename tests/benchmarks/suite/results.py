"""Rounds as results: medians, spreads and ratios, and the file that holds them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.suite.figures import Better, Figure, Topic

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Summary:
    """All rounds of one side: the value, and the lowest and highest of single rounds."""

    value: float
    low: float
    high: float
    rounds: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row of the table."""

    key: str
    title: str
    unit: str
    better: Better
    topic: Topic
    ours: Summary
    peer: Summary | None
    times: float | None
    bound: float | None

    @property
    def ratio(self) -> float | None:
        """How many times better ours is; below 1 the peer is better."""
        if self.peer is None or not self.ours.value or not self.peer.value:
            return None
        ours, peer = self.ours.value, self.peer.value
        return ours / peer if self.better is Better.MORE else peer / ours

    @property
    def reached(self) -> bool | None:
        """Whether what is aimed at was reached; None where nothing is."""
        if self.times is not None:
            return None if self.ratio is None else self.ratio >= self.times
        if self.bound is not None:
            return self.ours.value <= self.bound
        return None


def percentile(samples: Sequence[float], rank: int) -> float:
    """The smallest sample that at least `rank` percent of all do not exceed."""
    return sorted(samples)[max(0, math.ceil(len(samples) * rank / 100) - 1)]


def summarize(figure: Figure, rounds: Sequence[Mapping[str, Any]]) -> Summary:
    """The rounds of one side."""
    found = [each[figure.reads] for each in rounds]
    if figure.percentile is None:
        numbers = tuple(float(number) for number in found)
        return Summary(median(numbers), min(numbers), max(numbers), numbers)
    rank = figure.percentile
    numbers = tuple(percentile(samples, rank) for samples in found)
    pooled = [sample for samples in found for sample in samples]
    return Summary(percentile(pooled, rank), min(numbers), max(numbers), numbers)


def result_of(figure: Figure, ours: Sequence[Mapping[str, Any]], peer: Sequence[Mapping[str, Any]]) -> Result:
    """One figure of all rounds of both sides; `peer` is empty where there is none."""
    return Result(
        key=figure.key,
        title=figure.title,
        unit=figure.unit,
        better=figure.better,
        topic=figure.topic,
        ours=summarize(figure, ours),
        peer=summarize(figure, peer) if peer else None,
        times=figure.times,
        bound=figure.bound,
    )


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the suite found, and where."""

    machine: Mapping[str, Any]
    results: tuple[Result, ...]


def write_run(run: Run, path: Path) -> None:
    """Write a run as JSON, with its ratios for whoever reads it without this code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figures = {each.key: {**asdict(each), "ratio": each.ratio, "reached": each.reached} for each in run.results}
    document = {"format": FORMAT, "machine": dict(run.machine), "figures": figures}
    rounded = json.loads(json.dumps(document), parse_float=lambda text: float(f"{float(text):.5g}"))
    path.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


def read_run(path: Path) -> Run:
    """Read what `write_run` wrote. Raises ValueError for another format."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if document.get("format") != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT}, got {document.get('format')!r}")
    return Run(document["machine"], tuple(_result(entry) for entry in document["figures"].values()))


def _result(entry: Mapping[str, Any]) -> Result:
    fields = {name: value for name, value in entry.items() if name not in {"ratio", "reached"}}
    peer = fields.pop("peer")
    return Result(
        **{
            **fields,
            "better": Better(fields["better"]),
            "topic": Topic(fields["topic"]),
            "ours": _summary(fields["ours"]),
            "peer": None if peer is None else _summary(peer),
        }
    )


def _summary(entry: Mapping[str, Any]) -> Summary:
    return Summary(entry["value"], entry["low"], entry["high"], tuple(entry["rounds"]))
