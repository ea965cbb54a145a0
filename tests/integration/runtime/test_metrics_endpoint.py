"""What Prometheus and a kubelet see of a worker."""

from __future__ import annotations

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dbos import DBOS, DBOSClient, Queue
from dbos.api.runtime import process
from integration.runtime.conftest import Launch
from support.postgres import running_postgres
from support.waiting import eventually

_UNKNOWN = "dbos_undispatchable_total cause=unknown function queue=work workflow=strange"


def _get(path: str) -> tuple[int, str]:
    assert process.application is not None
    address = process.application.metrics_address
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _samples() -> dict[str, float]:
    status, text = _get("/metrics")
    assert status == 200
    return {
        " ".join([sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


@pytest.fixture
def serve(launch: Launch) -> Callable[[], None]:
    """Launch with an endpoint on a free port."""
    return lambda: launch(metrics_port=0, metrics_host="127.0.0.1")


def test_what_ran_is_counted_under_the_documented_names(serve: Callable[[], None], client: DBOSClient) -> None:
    queue = Queue("work")
    tries: list[int] = []

    @DBOS.step(name="flaky", retries_allowed=True, interval_seconds=0.001)
    def flaky() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError

    @DBOS.workflow(name="good")
    def good() -> None:
        flaky()

    @DBOS.workflow(name="bad")
    def bad() -> None:
        raise ValueError

    serve()
    queue.enqueue(good).get_result()
    DBOS.start_workflow(good).get_result()
    with pytest.raises(ValueError):  # noqa: PT011 -- the error of the workflow above
        queue.enqueue(bad).get_result()
    client.enqueue({"workflow_name": "strange", "queue_name": "work"})
    wanted = {
        _UNKNOWN: 1,
        "dbos_workflows_started_total queue=work workflow=good": 1,
        "dbos_workflows_started_total queue= workflow=good": 1,
        "dbos_workflows_completed_total queue=work status=SUCCESS workflow=good": 1,
        "dbos_workflows_completed_total queue=work status=ERROR workflow=bad": 1,
        "dbos_workflow_failures_total error=ValueError queue=work workflow=bad": 1,
        "dbos_workflow_duration_seconds_count queue=work workflow=good": 1,
        "dbos_queue_wait_seconds_count queue=work": 2,
        "dbos_steps_total outcome=success step=flaky": 2,
        "dbos_step_duration_seconds_count step=flaky": 2,
        "dbos_step_retries_total step=flaky": 2,
        "dbos_recoveries_total": 0,
        "dbos_executor_info application=orders executor=one version=v1": 1,
    }

    def counted() -> dict[str, float | None]:
        samples = _samples()
        return {name: samples.get(name) for name in wanted}

    eventually(counted, lambda counts: counts == wanted)  # an end is counted a moment after it can be read


def test_what_waits_and_runs_is_measured(serve: Callable[[], None]) -> None:
    queue = Queue("work", worker_concurrency=1)
    begun, go = threading.Event(), threading.Event()

    @DBOS.workflow()
    def work() -> None:
        begun.set()
        go.wait(60)

    serve()
    handles = [queue.enqueue(work) for _ in range(3)]
    assert begun.wait(30)
    samples = _samples()
    created = handles[1].get_status().created_at
    go.set()
    assert created is not None
    wanted = {
        "dbos_queue_depth queue=work status=ENQUEUED": 2,
        "dbos_queue_depth queue=work status=PENDING": 1,
        "dbos_workflows_running queue=work": 1,
        "dbos_queue_oldest_enqueued_timestamp_seconds queue=work": created / 1000,
    }
    assert {name: samples.get(name) for name in wanted} == wanted
    for handle in handles:
        handle.get_result()


def test_what_runs_without_a_queue_is_counted_too(serve: Callable[[], None]) -> None:
    begun, go = threading.Barrier(3), threading.Event()

    @DBOS.workflow()
    def work() -> None:
        begun.wait(60)
        go.wait(60)

    serve()
    handle = DBOS.start_workflow(work)
    called = threading.Thread(target=work)
    called.start()
    begun.wait(60)
    assert _samples()["dbos_workflows_running queue="] == 2
    go.set()
    called.join(60)
    handle.get_result()
    eventually(_samples, lambda samples: "dbos_workflows_running queue=" not in samples)


def test_a_cancelled_workflow_no_longer_counts_as_running(serve: Callable[[], None]) -> None:
    begun, go = threading.Event(), threading.Event()

    @DBOS.step()
    def step() -> None:
        pass

    @DBOS.workflow()
    def work() -> None:
        begun.set()
        go.wait(20)
        step()

    serve()
    handle = DBOS.start_workflow(work)
    assert begun.wait(20)
    DBOS.cancel_workflow(handle.workflow_id)
    go.set()
    eventually(_samples, lambda samples: "dbos_workflows_running queue=" not in samples)


def test_what_retention_deletes_is_counted(launch: Launch, database_url: str) -> None:
    @DBOS.workflow()
    def work() -> None:
        pass

    launch()
    for _ in range(3):
        work()
    DBOS.destroy()
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE dbos.workflow_status SET completed_at = completed_at - 100000")
    launch(metrics_port=0, metrics_host="127.0.0.1", retention={"max_age_sec": 60, "interval_sec": 1})
    eventually(_samples, lambda samples: samples["dbos_retention_deleted_workflows_total"] == 3)


def test_names_that_code_makes_up_do_not_grow_the_labels_without_bound(
    serve: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbos.observability.metrics.MOST_NAMES", 3)

    @DBOS.workflow()
    def work() -> None:
        for number in range(6):
            DBOS.run_step({"name": f"step {number}"}, lambda: None)

    serve()
    work()
    samples = _samples()
    assert samples["dbos_steps_total outcome=success step=step 2"] == 1
    assert samples["dbos_steps_total outcome=success step=_other"] == 3
    assert "dbos_steps_total outcome=success step=step 3" not in samples


def test_recovered_workflows_are_counted(serve: Callable[[], None], database_url: str) -> None:
    with DBOSClient(system_database_url=database_url, application_name="orders") as client:
        client.enqueue({"workflow_name": "x", "queue_name": "y"})
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = 'one', application_version = 'v1'"
        )
    serve()
    assert _samples()["dbos_recoveries_total"] == 1


def test_probes_answer(serve: Callable[[], None]) -> None:
    serve()
    assert _get("/healthz") == (200, "ok\n")
    assert _get("/readyz") == (200, "ready\n")
    assert _get("/nothing")[0] == 404


def test_a_draining_process_is_alive_and_not_ready(serve: Callable[[], None]) -> None:
    begun, go = threading.Event(), threading.Event()

    @DBOS.workflow()
    def work() -> None:
        begun.set()
        go.wait(90)

    serve()
    DBOS.start_workflow(work)
    assert begun.wait(30)
    ending = threading.Thread(target=lambda: DBOS.destroy(workflow_completion_timeout_sec=90))
    ending.start()
    assert eventually(lambda: _get("/readyz"), lambda answer: answer[0] == 503) == (503, "not ready\n")
    assert _get("/healthz")[0] == 200
    assert _get("/metrics")[0] == 200
    go.set()
    ending.join(60)
    assert not ending.is_alive()


def test_without_a_database_metrics_are_told_without_depths(serve: Callable[[], None], launch: Launch) -> None:
    with running_postgres() as server:
        launch(system_database_url=server.create_database(), metrics_port=0, metrics_host="127.0.0.1")
        server.stop()
        status, text = _get("/metrics")
        assert status == 200
        assert re.search(r"^dbos_executor_info", text, re.MULTILINE)
        assert not re.search(r"^dbos_queue_depth\{", text, re.MULTILINE)
        assert _get("/healthz")[0] == 200
        DBOS.destroy()


def test_without_a_port_nothing_is_served(launch: Launch) -> None:
    launch()
    assert process.application is not None
    assert process.application.metrics_address is None


def test_port_and_host_come_from_the_environment_too(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBOS_METRICS_PORT", "0")
    monkeypatch.setenv("DBOS_METRICS_HOST", "127.0.0.1")
    launch()
    assert process.application is not None
    assert (process.application.metrics_address or "").startswith("127.0.0.1:")
