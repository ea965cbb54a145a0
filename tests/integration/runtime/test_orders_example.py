"""The application of examples/kubernetes, worked by the command that its Deployment runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from dbos import DBOSClient
from support.image_build import ROOT
from support.worker_process import WorkerProcess

APPLICATION = (ROOT / "examples" / "kubernetes" / "app.py").read_text(encoding="utf-8")
QUEUE = """
from dbos import Queue
Queue(QUEUE)  # what the DBOSQueue does on a cluster
"""
STEPS = ["reserved", "charged", "packed", "shipped"]


def test_a_sweep_enqueues_each_order_once_and_every_order_gets_its_four_receipts(
    database_url: str, tmp_path: Path
) -> None:
    client = DBOSClient(system_database_url=database_url)
    due, context = datetime(2026, 11, 21, 7, 16, tzinfo=UTC), {"orders": 3, "secondsPerStep": 0.0}
    sweeps = [client.enqueue({"workflow_name": "sweep_orders", "queue_name": "orders"}, due, context) for _ in range(2)]

    environment = {"DBOS_SYSTEM_DATABASE_URL": database_url, "DBOS__VMID": "orders-worker-x"}
    with WorkerProcess(tmp_path, APPLICATION + QUEUE, environment=environment) as worker:
        worker.wait_for("DBOS launched")
        swept = [sweep.get_result() for sweep in sweeps]
        results = [client.retrieve_workflow(order).get_result() for order in swept[0]]

    assert swept == 2 * [[f"order-20261121-071600-{number:03}" for number in (1, 2, 3)]]
    assert results == [
        {
            "order": order,
            "receipts": [{"done": done, "order": order, "worker": "orders-worker-x"} for done in STEPS],
        }
        for order in swept[0]
    ]
    assert len(client.list_workflows(name="process_order")) == 3
    client.destroy()
