"""The example of examples/kubernetes as the journey runs it: its names, its steps, and shorter times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "kubernetes"

DATABASE = "default"
SECRET = "orders-db"
SECRET_KEY = "url"
QUEUE = "orders"
SCHEDULE = "sweep-orders"
DEPLOYMENT = "orders-worker"

SELECTOR = f"app.kubernetes.io/name={DEPLOYMENT}"
ORDER = "process_order"
SWEEP = "sweep_orders"
ORDER_OPTIONS = {"workflow_name": ORDER, "queue_name": QUEUE}
ORDER_STEPS = ("reserve", "charge", "pack", "ship")
METRICS_PORT = 9464
ORDERS_PER_RUN = 12

GRACE_PERIOD = timedelta(seconds=10)
IDLE_AFTER = timedelta(seconds=8)
PERIOD = timedelta(seconds=5)

Manifest = dict[str, Any]


def manifests(image: str) -> dict[str, list[Manifest]]:
    """The objects of each file of the example, with the image of this run and times that make the journey short."""
    return {path.stem: [_adapted(each, image) for each in _documents(path)] for path in sorted(FOLDER.glob("*.yaml"))}


def rendered(objects: Sequence[Manifest]) -> str:
    """The same as one YAML text."""
    return yaml.safe_dump_all(objects, sort_keys=False)


def _adapted(manifest: Manifest, image: str) -> Manifest:
    spec = manifest.get("spec", {})
    match manifest["kind"]:
        case "DBOSDatabase":
            spec["recovery"] = {"gracePeriod": _seconds(GRACE_PERIOD)}
        case "DBOSQueue":
            spec["scaling"]["idleAfter"] = _seconds(IDLE_AFTER)
        case "DBOSSchedule":
            spec["schedule"] = f"*/{PERIOD.seconds} * * * * *"
            spec["context"] = {"orders": ORDERS_PER_RUN, "secondsPerStep": 0.5}
        case "Deployment":
            for container in spec["template"]["spec"]["containers"]:
                container |= {"image": image, "imagePullPolicy": "IfNotPresent"}
    return manifest


def _documents(path: Path) -> Iterator[Manifest]:
    yield from (each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each)


def _seconds(duration: timedelta) -> str:
    return f"{duration.seconds}s"
