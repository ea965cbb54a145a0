"""What a release does in the hands of an administrator: metrics, test, upgrade, uninstall, install again."""

from __future__ import annotations

from journey import example
from journey.acts_install import UNREACHABLE
from journey.figures import add_up
from journey.stage import (
    CHART,
    DEFAULT_DATABASE_SECRET,
    GENEROUS,
    OPERATOR_SELECTOR,
    RELEASE,
    Stage,
)
from support.controlplane.kinds import DEFINITIONS
from support.helm import HelmError
from support.waiting import eventually

_COUNT_SECONDS = 60.0
"""Exact counts are taken every 30 s."""


def metrics(stage: Stage) -> None:
    """The operator is scraped through its Service and each worker at its pod, while both work."""
    orders = stage.start_orders("measured", 16, seconds_per_step=10.0)  # longer than between two counts
    stage.until_running(orders, on=2)
    for name, pod in stage.workers().items():
        answer = stage.scrape(f"http://{pod['status']['podIP']}:{example.METRICS_PORT}/metrics")
        assert add_up(answer, "dbos_executor_info", executor=name) == 1, f"{name} calls itself otherwise"
        assert add_up(answer, "dbos_workflows_started_total", queue=example.QUEUE) > 0, f"{name} began nothing"
    stage.show.note(f"{len(stage.workers())} workers tell their executor ID and what they began")

    url = stage.url_of_service("metrics", "/metrics")
    running = {"queue": example.QUEUE, "status": "PENDING"}
    eventually(
        lambda: add_up(stage.scrape(url), "dbos_operator_queue_depth", **running),
        bool,
        within=_COUNT_SECONDS,
        what="depth of the queue in the operator's metrics",
    )
    answer = stage.scrape(url)
    database = f"{stage.kubectl.namespace}/{example.DATABASE}"
    assert add_up(answer, "dbos_operator_database_up", database=database) == 1
    assert add_up(answer, "dbos_operator_workers_desired", name=example.DEPLOYMENT) >= 2
    assert add_up(answer, "dbos_operator_workflows_completed_total", queue=example.QUEUE, status="SUCCESS") > 0
    for path in ("/healthz", "/readyz"):
        assert stage.client.http(stage.url_of_service("health", path))[0] == 200, f"{path} of the operator"
    stage.show.note("the operator tells depth, replicas and what ended")
    stage.until_succeeded(orders)
    stage.prove(orders)


def helm_test(stage: Stage) -> None:
    """`helm test` passes on a good release, and says of a default database what is missing."""
    stage.helm("test", RELEASE, "--timeout=3m", timeout=200)
    stage.show.note("passes as installed")

    given = [*stage.values, "--set", f"defaultDatabase.secretRef.name={DEFAULT_DATABASE_SECRET}"]
    notes = stage.helm("upgrade", RELEASE, str(CHART), *given)
    assert f"no Secret {DEFAULT_DATABASE_SECRET}" in notes, f"NOTES say nothing of the Secret:\n{notes}"
    stage.show.note("with a default database whose Secret is missing: " + _refusal(stage, "SecretNotFound"))
    stage.set_default_secret(UNREACHABLE)
    stage.show.note("whose URL leads nowhere: " + _refusal(stage, "DatabaseUnavailable"))
    stage.set_default_secret(stage.default_database_url)
    stage.operator("wait", "dbosdatabase/default", "--for=condition=Ready", "--timeout=120s", timeout=130)
    stage.helm("test", RELEASE, "--timeout=3m", timeout=200)
    stage.show.note("passes once it is mended")


def helm_upgrade(stage: Stage) -> None:
    """`helm upgrade --wait` to one namespace and its Roles under load: nothing is lost, scaling goes on."""
    stage.until_no_workers()
    orders = stage.start_orders("upgraded", 20, seconds_per_step=0.5)
    narrow = ["--set", f"watch.namespaces={{{stage.kubectl.namespace}}}", "--set", "logging.level=debug"]
    stage.helm("upgrade", RELEASE, str(CHART), "--wait", "--timeout=5m", *stage.values, *narrow, timeout=330)
    orders += stage.start_orders("narrow", 10, seconds_per_step=0.5)
    stage.until_succeeded(orders)
    stage.prove(orders)
    stage.until_no_workers()
    stage.show.note(f"{len(orders)} orders done across the upgrade, and the workers are gone again")
    said = _complaint(stage, "upgrade", RELEASE, str(CHART), *stage.values, "--set", "tick=often")
    assert "tick" in said, f"tick=often was taken, or refused without its name: {said}"
    stage.show.note("a wrong value is refused by its name")


def helm_uninstall(stage: Stage) -> None:
    """`helm uninstall` leaves kinds, resources and rows; installed again, the operator goes on with them."""
    rows = "SELECT (SELECT count(*) FROM dbos.workflow_status), (SELECT count(*) FROM dbos.operation_outputs), "
    rows += "(SELECT count(*) FROM dbos.queues), (SELECT count(*) FROM dbos.workflow_schedules)"
    before = stage.client.rows(rows)
    # Helm 4.1's own wait now and then misses that something is gone: https://github.com/helm/helm/issues/31766
    stage.helm("uninstall", RELEASE, timeout=60)
    stage.operator("wait", "pods", "--selector", OPERATOR_SELECTOR, "--for=delete", "--timeout=60s", timeout=70)
    assert {each["metadata"]["name"] for each in stage.cluster.get("crds")} >= set(DEFINITIONS), "kinds went"
    assert len(stage.kubectl.get("dbos")) == 3, "resources went"
    assert stage.client.rows(rows) == before, "rows changed"
    stage.show.note(f"kinds and resources stay, and rows: {before[0]} workflows, steps, queues, schedules")

    orders = stage.start_orders("waiting", 10, seconds_per_step=0.2)
    stage.helm("install", RELEASE, str(CHART), "--wait", "--timeout=5m", *stage.values, timeout=330)
    stage.until_succeeded(orders)
    stage.prove(orders)
    stage.show.note("installed again, it works what was enqueued meanwhile")
    # Returns when the objects are gone, so their finalizers have been let go.
    stage.kubectl("delete", "dbos", "--all", "--timeout=120s", timeout=150)
    assert stage.client.rows("SELECT schedule_name, status FROM dbos.workflow_schedules") == [
        [example.SCHEDULE, "PAUSED"]
    ]
    stage.show.note("resources deleted: the schedule's row is paused, the queue's row stays")
    stage.prove_all()


def _refusal(stage: Stage, reason: str) -> str:
    """What `helm test` says when it fails, which must hold the reason; it is asked until it does."""

    def said() -> str:
        return _complaint(stage, "test", RELEASE, "--timeout=3m", "--logs")

    text = eventually(said, lambda text: reason in text, within=GENEROUS, what=f"helm test that says {reason}")
    return next(line for line in text.splitlines() if reason in line).strip()


def _complaint(stage: Stage, *arguments: str) -> str:
    """What helm says when it fails; nothing when it does not."""
    try:
        stage.helm(*arguments, timeout=200)
    except HelmError as error:
        return error.stderr
    return ""
