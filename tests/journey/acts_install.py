"""The first acts: images, chart, and an example whose database is missing at first."""

from __future__ import annotations

import time

from journey import example
from journey.databases import create_databases, drop_databases
from journey.images import provide_images
from journey.stage import CHART, OPERATOR_SELECTOR, RELEASE, Stage, is_ready
from support.controlplane.kinds import DEFINITIONS

UNREACHABLE = "postgresql://nobody:nothing@127.0.0.1:9/nowhere"
"""The discard port of the operator's own pod: refused at once, wherever the cluster is."""


def images(stage: Stage) -> None:
    """The images are in the cluster."""
    provide_images(stage.settings, stage.show)
    stage.client.start(stage.settings.worker_image)
    drop_databases(stage.client, stage.settings.database_url, stage.earlier_runs)
    create_databases(stage.client, stage.settings.database_url, [stage.database_url, stage.default_database_url])
    stage.show.note("a pod reaches PostgreSQL; this run has a database of its own there")


def helm_install(stage: Stage) -> None:
    """`helm install --wait` returns when the operator is ready, with the kinds in place."""
    notes = stage.helm("install", RELEASE, str(CHART), "--wait", "--timeout=5m", *stage.values, timeout=330)
    pods = stage.operator.get("pods", "--selector", OPERATOR_SELECTOR)
    assert [is_ready(pod) for pod in pods] == [True], "one operator that is ready when --wait returns"
    for name in DEFINITIONS:
        stage.cluster("wait", f"crd/{name}", "--for=condition=Established", "--timeout=10s")
    assert "kubectl get dbos" in notes
    stage.show.note("the operator is ready, the kinds are established")


def missing_database(stage: Stage) -> None:
    """A missing Secret and an unreachable database are said by conditions, and healed once they are mended."""
    for part in ("database", "queue", "worker"):
        stage.kubectl.apply(example.rendered(stage.manifests[part]))
    stage.until_condition("dbosdatabase", example.DATABASE, {"Stalled": "SecretNotFound"})
    stage.until_condition("dbosqueue", example.QUEUE, {"Reconciling": "DatabaseNotReady"})
    stage.show.note("without its Secret: SecretNotFound, and DatabaseNotReady on the queue")

    stage.set_secret(UNREACHABLE)
    found = stage.until_condition("dbosdatabase", example.DATABASE, {"Reconciling": "DatabaseUnavailable"})
    assert "nothing" not in str(found["status"]), "the password is told"
    stage.show.note("with a URL that leads nowhere: DatabaseUnavailable")

    began = time.monotonic()
    stage.set_secret(stage.database_url)
    stage.until_condition("dbosdatabase", example.DATABASE, {"Ready": "Connected"})
    stage.show.note(f"with the right one: Connected after {time.monotonic() - began:.1f} s, nothing restarted")
    stage.until_condition("dbosqueue", example.QUEUE, {"Ready": "Reconciled"})
    stage.until_no_workers()
    stage.show.note("nothing waits: the Deployment's first replica is gone")
