"""The main job: from zero workers to several, and back."""

from __future__ import annotations

import time
from datetime import datetime

from journey import evidence, example
from journey.figures import add_up
from journey.stage import GENEROUS, Stage, pods_of_workers, workers_of
from support.waiting import eventually


def from_zero_to_zero(stage: Stage) -> None:
    """A schedule fires while no worker is there; pods come, do the work, and go."""
    began = time.monotonic()
    assert not pods_of_workers(stage.pods.objects)
    stage.kubectl.apply(example.rendered(stage.manifests["schedule"]))
    run = stage.until_runs(1)[0]
    stage.show.note(f"{run.workflow_id} is there, with {len(pods_of_workers(stage.pods.objects))} workers")
    figures = stage.url_of_service("metrics", "/metrics")
    eventually(
        lambda: add_up(stage.scrape(figures), "dbos_operator_schedule_fired_total"),
        bool,
        within=GENEROUS,
        what="run in the operator's metrics",
    )
    stage.pods.until(lambda pods: len(workers_of(pods)) > 1, within=GENEROUS, what="several workers")
    created = min(each.object["metadata"]["creationTimestamp"] for each in stage.pods.changes_since(began))
    due = evidence.due_time(run, example.SCHEDULE)
    assert datetime.fromisoformat(created) >= due, f"a worker of {created} was there before {due}"
    stage.show.note(f"{len(stage.workers())} workers are ready, the first was created after the run was due")

    stage.suspend_schedule(suspended=True)
    stage.until_all_succeeded()
    stage.prove_swept()
    stage.show.note("the schedule is suspended, its orders are done")
    stage.until_no_workers()
    highest = max(change.object["spec"]["replicas"] for change in stage.deployments.changes)
    assert highest > 1, "one worker did it all"
    stage.show.note(f"no workers, after {highest} at most")
