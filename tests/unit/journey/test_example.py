from __future__ import annotations

import yaml

from journey import example


def test_the_example_holds_what_the_journey_is_about() -> None:
    manifests = example.manifests("dbos-worker:e2e")
    assert {"database", "queue", "schedule", "worker"} <= set(manifests)
    objects = [each for part in manifests.values() for each in part if "metadata" in each]
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    database = found["DBOSDatabase", example.DATABASE]["spec"]
    assert database["secretRef"] == {"name": example.SECRET, "key": example.SECRET_KEY}
    assert found["DBOSQueue", example.QUEUE]["spec"]["scaling"]["targetRef"]["name"] == example.DEPLOYMENT
    assert found["DBOSSchedule", example.SCHEDULE]["spec"]["workflowName"] == example.SWEEP
    (container,) = found["Deployment", example.DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "dbos-worker:e2e"
    assert [port["containerPort"] for port in container["ports"]] == [example.METRICS_PORT]


def test_what_is_applied_is_text_that_kubectl_reads() -> None:
    objects = example.manifests("dbos-worker:e2e")["worker"]
    assert list(yaml.safe_load_all(example.rendered(objects))) == objects


def test_the_application_has_the_steps_that_the_journey_looks_for() -> None:
    source = (example.FOLDER / "app.py").read_text(encoding="utf-8")
    for name in (example.ORDER, example.SWEEP, *example.ORDER_STEPS):
        assert f"def {name}(" in source
