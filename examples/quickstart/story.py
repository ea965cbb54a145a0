"""What the demonstration has seen, and whether that is what should have happened."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import app
from prometheus_client.parser import text_string_to_metric_families

from dbos import WorkflowStatus

MISSING = "no-such-file"
"""The workflow that is expected to fail."""
STEPS = 4
"""Steps that each file takes."""
PER_REPLICA = 4
MOST_REPLICAS = 4
FINISHED = {"SUCCESS", "ERROR"}


@dataclass(frozen=True, slots=True)
class Moment:
    """What is there now."""

    pods: dict[str, dict[str, Any]]
    workflows: list[WorkflowStatus]
    steps: dict[str, int]

    def of(self, name: str) -> list[WorkflowStatus]:
        """The workflows of one function."""
        return [workflow for workflow in self.workflows if workflow.name == name]

    @property
    def files(self) -> list[WorkflowStatus]:
        """The workflows over files of the folder."""
        return [workflow for workflow in self.of("process_file") if workflow.workflow_id != MISSING]

    def find(self, workflow_id: str) -> WorkflowStatus | None:
        """One workflow, or None."""
        return next((workflow for workflow in self.workflows if workflow.workflow_id == workflow_id), None)


@dataclass(slots=True)
class Story:
    """What has been seen so far."""

    folder: Path
    files: list[Path]
    broken: set[str]
    fired_before_workers: bool | None = None
    most_pods: int = 0
    killed: str = ""
    orphans: set[str] = field(default_factory=set)
    enqueued_failure: bool = False
    worker_failures: float = 0
    worker_metrics: int = 0
    operator_failures: float = 0
    operator_metrics: int = 0
    recovered: float = 0
    last_progress: float = field(default_factory=time.monotonic)
    last_state: Any = None

    @property
    def wanted_pods(self) -> int:
        """How many replicas this many files ask for."""
        return min(MOST_REPLICAS, -(-len(self.files) // PER_REPLICA))

    @property
    def several(self) -> int:
        """What counts as several here: a few files are the work of one worker."""
        return min(2, self.wanted_pods)

    def identifiers(self) -> set[str]:
        """The IDs that the workflows over the files have."""
        return {app.workflow_id(path, self.folder) for path in self.files}

    def expects(self, workflow: WorkflowStatus) -> str:
        """How the workflow over a file should end."""
        return "ERROR" if workflow.workflow_id in self.broken else "SUCCESS"


Figures = list[tuple[str, dict[str, str], float]]


def read_metrics(url: str) -> Figures:
    """Every sample that an endpoint serves over HTTP; none while it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return []
    families = text_string_to_metric_families(text)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def add_up(figures: Figures, name: str, **labels: str) -> float:
    """The sum of the samples of a name that have the labels."""
    return sum(value for found, has, value in figures if found == name and labels.items() <= has.items())


def checks(story: Story, moment: Moment, status: int) -> Iterator[tuple[str, bool, str]]:
    """What should have happened, whether it did, and the figure that says so."""
    rows = {workflow.workflow_id: workflow for workflow in moment.files}
    expected = story.identifiers()
    ended = [rows[name] for name in expected if name in rows and rows[name].status == story.expects(rows[name])]
    steps = [moment.steps.get(workflow.workflow_id, 0) for workflow in ended if workflow.status == "SUCCESS"]
    orphans = [rows[name] for name in story.orphans if name in rows]
    others = {workflow.executor_id for workflow in orphans}
    attempts = [workflow.recovery_attempts or 0 for workflow in orphans]
    missing = moment.find(MISSING)
    yield (
        "the schedule fired while no worker ran",
        bool(story.fired_before_workers),
        f"{len(moment.of('scan_files'))} run(s)",
    )
    yield (
        "the Deployment went from 0 to several replicas and back to 0",
        story.most_pods >= story.several and not moment.pods,
        f"0 → {story.most_pods} → {len(moment.pods)}",
    )
    yield "one workflow per file, ended as it should", len(ended) == len(expected), f"{len(ended)} of {len(expected)}"
    yield "several steps in each", bool(steps) and min(steps) >= STEPS, f"{sum(steps)} steps recorded"
    yield (
        "workflows of a pod deleted by force were finished by another",
        bool(orphans) and story.killed not in others and {w.status for w in orphans} <= FINISHED and min(attempts) >= 2,
        f"{len(orphans)} of {story.killed or 'no pod'}, attempts {max(attempts, default=0)}",
    )
    yield (
        "the workflow that should fail did",
        missing is not None and missing.status == "ERROR",
        missing.status if missing else "no such workflow",
    )
    yield (
        "its failure is counted in the metrics",
        story.operator_failures > 0,
        f"operator {story.operator_failures:g}, worker {story.worker_failures:g}",
    )
    yield (
        "metrics of operator and worker were read over HTTP",
        story.operator_metrics > 0 and story.worker_metrics > 0,
        f"{story.operator_metrics} and {story.worker_metrics} samples, {story.recovered:g} recovered",
    )
    yield "dbos-operator ended in order", status == 0, f"status {status}"


def report_lines(results: list[WorkflowStatus], folder: Path) -> list[str]:
    """What the workflows returned, as a table with a line for each file."""
    rows = sorted((found.output for found in results), key=lambda row: str(row["path"]))
    return [
        f"# {len(rows)} files of {folder}, {sum(row['words'] for row in rows)} words",
        "",
        "| file | lines | words | headings | sha256 |",
        "|---|---:|---:|---:|---|",
        *(
            f"| {Path(row['path']).relative_to(folder)} | {row['lines']} | {row['words']}"
            f" | {len(row['headings'])} | {row['sha256'][:12]} |"
            for row in rows
        ),
    ]


def undecodable(files: list[Path], folder: Path) -> set[str]:
    """The IDs of files that are no UTF-8 text: their workflows are expected to fail."""
    found = set()
    for path in files:
        try:
            path.read_bytes().decode()
        except UnicodeDecodeError:
            found.add(app.workflow_id(path, folder))
    return found
