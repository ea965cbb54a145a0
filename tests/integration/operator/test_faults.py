"""What is wrong is said, the rest goes on, and everything recovers by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbos_operator.errors import ClusterError, ConflictError, DatabaseUnavailableError
from dbos_operator.gateway.postgres import open_gateway
from dbos_operator.gateway.protocol import Gateway, GatewayRequest, Observation, ObserveRequest, Prepared
from dbos_operator.loop import access
from dbos_operator.loop.operator import Operator
from dbos_operator.resources.identity import Kind
from support.cut_off_gateway import CutOff, Outage
from support.fake_cluster import FakeCluster
from support.postgres import PostgresServer

Sql = Callable[..., list[dict[str, Any]]]
Start = Callable[..., Any]

WORKER = {"targetRef": {"name": "worker"}, "maxReplicas": 5, "idleAfter": "0s"}


async def test_a_database_that_is_down_holds_replicas_and_comes_back(
    cluster: FakeCluster, start: Start, sql: Sql
) -> None:
    outage = Outage()
    target = cluster.put_workload("worker", replicas=3)
    cluster.apply(Kind.QUEUE, "emails", {"scaling": {**WORKER, "minReplicas": 3}})
    async with start(open_gateway=outage.open):
        await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("True", "Reconciled"))
        outage.down = True
        cluster.apply(Kind.QUEUE, "emails", {"scaling": WORKER})
        await cluster.until(lambda: cluster.condition(Kind.DATABASE, "default") == ("False", "DatabaseUnavailable"))
        await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("False", "DatabaseNotReady"))
        assert cluster.condition(Kind.QUEUE, "emails", "ScalingActive") == ("False", "StaleData")
        assert cluster.desired.snapshot().workloads[target].replicas == 3
        outage.down = False
        await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("True", "Reconciled"))
        await cluster.until(lambda: cluster.desired.snapshot().workloads[target].replicas == 0)
    assert cluster.reasons("default") == ["Connected", "DatabaseUnavailable", "Connected"]


async def test_a_missing_secret_is_named_and_found_when_it_comes(
    cluster: FakeCluster, operator: Operator, database_url: str
) -> None:
    cluster.apply(Kind.DATABASE, "other", {"secretRef": {"name": "later", "key": "url"}})
    await cluster.until(lambda: cluster.condition(Kind.DATABASE, "other", "Stalled") == ("True", "SecretNotFound"))
    cluster.put_secret("later", uri="x")
    await cluster.until(lambda: cluster.condition(Kind.DATABASE, "other", "Stalled")[1] == "SecretKeyNotFound")
    cluster.put_secret("later", url="mysql://x/y")
    await cluster.until(lambda: cluster.condition(Kind.DATABASE, "other", "Stalled")[1] == "InvalidURL")
    assert cluster.condition(Kind.DATABASE, "default") == ("True", "Connected")


async def test_a_second_database_for_the_same_schema_is_stalled_until_the_first_goes(
    cluster: FakeCluster, operator: Operator
) -> None:
    await cluster.until(lambda: cluster.condition(Kind.DATABASE, "default") == ("True", "Connected"))
    cluster.apply(Kind.DATABASE, "twin", {"secretRef": {"name": "db", "key": "url"}})
    await cluster.until(lambda: cluster.condition(Kind.DATABASE, "twin", "Stalled") == ("True", "SameDatabase"))
    cluster.delete(Kind.DATABASE, "default")
    await cluster.until(lambda: cluster.condition(Kind.DATABASE, "twin") == ("True", "Connected"))


async def test_bad_resources_are_told_and_the_others_go_on(cluster: FakeCluster, operator: Operator) -> None:
    cluster.apply(Kind.SCHEDULE, "broken", {"workflowName": "w", "schedule": "99 * * * *"})
    cluster.apply(Kind.SCHEDULE, "nowhere", {"workflowName": "w", "schedule": "@daily", "timeZone": "Mars/Base"})
    cluster.apply(Kind.QUEUE, "homeless", {"databaseRef": {"name": "gone"}})
    cluster.apply(Kind.QUEUE, "abroad", {"databaseRef": {"name": "default", "namespace": "other"}})
    cluster.apply(Kind.QUEUE, "fine", {})
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "fine") == ("True", "Reconciled"))
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "homeless", "Stalled")[0] == "True")
    for kind, name, reason in (
        (Kind.SCHEDULE, "broken", "InvalidSchedule"),
        (Kind.SCHEDULE, "nowhere", "InvalidTimeZone"),
        (Kind.QUEUE, "homeless", "DatabaseNotFound"),
        (Kind.QUEUE, "abroad", "DatabaseNotAllowed"),
    ):
        assert cluster.condition(kind, name) == ("False", reason)
        assert cluster.condition(kind, name, "Stalled") == ("True", reason)
        assert reason in cluster.reasons(name)


async def test_of_two_resources_for_one_row_the_older_wins_until_it_goes(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    cluster.apply(Kind.QUEUE, "older", {"queueName": "emails", "concurrency": 1})
    cluster.apply(Kind.QUEUE, "younger", {"queueName": "emails", "concurrency": 2, "deletionPolicy": "Delete"})
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "younger", "Stalled") == ("True", "NameTaken"))
    assert sql("SELECT concurrency FROM queues") == [{"concurrency": 1}]
    assert cluster.identity(Kind.QUEUE, "younger").finalizers == ()
    cluster.delete(Kind.QUEUE, "older")
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "younger") == ("True", "Reconciled"))
    assert sql("SELECT concurrency FROM queues") == [{"concurrency": 2}]


async def test_a_queue_is_deleted_when_it_is_empty(cluster: FakeCluster, operator: Operator, sql: Sql) -> None:
    cluster.apply(Kind.QUEUE, "emails", {"deletionPolicy": "Delete"})
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("True", "Reconciled"))
    sql("INSERT INTO workflow_status (workflow_uuid, status, name, queue_name) VALUES ('a', 'ENQUEUED', 'w', 'emails')")
    cluster.delete(Kind.QUEUE, "emails")
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("False", "Deleting"))
    assert len(sql("SELECT * FROM queues")) == 1
    sql("UPDATE workflow_status SET status = 'SUCCESS'")
    await cluster.until(lambda: not cluster.status(Kind.QUEUE, "emails"))
    assert not sql("SELECT * FROM queues")


async def test_a_schedule_whose_database_is_gone_is_let_go_after_five_minutes(
    cluster: FakeCluster, start: Start
) -> None:
    outage = Outage()
    cluster.apply(Kind.SCHEDULE, "nightly", {"workflowName": "w", "schedule": "@daily"})
    async with start(open_gateway=outage.open):
        await cluster.until(lambda: cluster.condition(Kind.SCHEDULE, "nightly") == ("True", "Reconciled"))
        outage.down = True
        await cluster.until(lambda: cluster.condition(Kind.DATABASE, "default")[0] == "False")
        cluster.delete(Kind.SCHEDULE, "nightly", since=datetime.now(UTC) - timedelta(minutes=6))
        await cluster.until(lambda: not cluster.status(Kind.SCHEDULE, "nightly"))
    assert cluster.reasons("nightly")[-1] == "Released"


async def test_a_schedule_of_a_deleted_database_is_still_paused(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    cluster.apply(Kind.SCHEDULE, "nightly", {"workflowName": "w", "schedule": "@daily"})
    await cluster.until(lambda: cluster.condition(Kind.SCHEDULE, "nightly") == ("True", "Reconciled"))
    cluster.secrets.clear()
    cluster.delete(Kind.SCHEDULE, "nightly")
    cluster.delete(Kind.DATABASE, "default")
    await cluster.until(lambda: not cluster.status(Kind.SCHEDULE, "nightly"))
    assert sql("SELECT status FROM workflow_schedules") == [{"status": "PAUSED"}]


async def test_a_schedule_that_is_deleted_after_its_database_is_paused_too(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    cluster.apply(Kind.SCHEDULE, "nightly", {"workflowName": "w", "schedule": "@daily"})
    await cluster.until(lambda: cluster.condition(Kind.SCHEDULE, "nightly") == ("True", "Reconciled"))
    cluster.delete(Kind.DATABASE, "default")
    await cluster.until(lambda: cluster.condition(Kind.SCHEDULE, "nightly") == ("False", "DatabaseNotFound"))
    cluster.delete(Kind.SCHEDULE, "nightly")
    await cluster.until(lambda: not cluster.status(Kind.SCHEDULE, "nightly"))
    assert sql("SELECT status FROM workflow_schedules") == [{"status": "PAUSED"}]


async def test_a_server_that_says_nothing_any_more_is_told_and_asked_again(
    cluster: FakeCluster, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, hanging, broken = threading.Event(), threading.Event(), threading.Event()

    class Silent(CutOff):
        def __init__(self, gateway: Gateway) -> None:
            super().__init__(gateway, Outage())
            self._abandoned = threading.Event()

        def observe(self, request: ObserveRequest) -> Observation:
            if frozen.is_set():
                hanging.set()
                assert self._abandoned.wait(60)
                broken.set()
                raise DatabaseUnavailableError("the connection was broken")
            return super().observe(request)

        def abandon(self) -> None:
            self._abandoned.set()

    # Long enough for an answer of a busy machine, short enough to wait for.
    monkeypatch.setattr(access, "READ_PATIENCE", timedelta(seconds=1))
    connections = {"connections": {"statementTimeout": "1s"}}
    async with start(open_gateway=lambda request: Silent(open_gateway(request))):
        cluster.apply(Kind.DATABASE, "default", {"secretRef": {"name": "db", "key": "url"}, **connections})
        await cluster.until(lambda: cluster.condition(Kind.DATABASE, "default") == ("True", "Connected"))
        frozen.set()
        await cluster.until(hanging.is_set)
        await cluster.until(lambda: "has not answered" in str(cluster.status(Kind.DATABASE, "default")))
        assert cluster.condition(Kind.DATABASE, "default") == ("False", "DatabaseUnavailable")
        await cluster.until(broken.is_set, what="the end of the thread that waits")
        frozen.clear()
        await cluster.until(lambda: cluster.condition(Kind.DATABASE, "default") == ("True", "Connected"))


async def test_an_operator_that_is_ready_stays_so_when_a_database_joins(
    cluster: FakeCluster, start: Start, postgres_server: PostgresServer
) -> None:
    asked, answers = threading.Event(), threading.Event()

    class Hanging(CutOff):
        def prepare(self) -> Prepared:
            asked.set()
            answers.wait(20)
            return super().prepare()

    def open_slowly(request: GatewayRequest) -> Gateway:
        opened = open_gateway(request)
        return Hanging(opened, Outage()) if "elsewhere" in request.url else opened

    async with start(open_gateway=open_slowly) as operator:
        await cluster.until(lambda: operator.health().ready)
        cluster.put_secret("elsewhere", url=postgres_server.url_of("elsewhere"))
        cluster.apply(Kind.DATABASE, "another", {"secretRef": {"name": "elsewhere", "key": "url"}})
        await cluster.until(asked.is_set)
        assert operator.health().ready
        answers.set()


async def test_an_api_server_that_refuses_writes_is_tried_again(cluster: FakeCluster, operator: Operator) -> None:
    cluster.faults["patch_status"] = ClusterError("busy")
    cluster.apply(Kind.QUEUE, "emails", {})
    await cluster.until(lambda: "Created" in cluster.reasons("emails"))
    del cluster.faults["patch_status"]
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("True", "Reconciled"))


async def test_a_new_url_in_the_secret_is_followed(
    cluster: FakeCluster, start: Start, postgres_server: PostgresServer, sql: Sql
) -> None:
    with postgres_server.database() as other:
        async with start():
            cluster.apply(Kind.QUEUE, "emails", {})
            await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("True", "Reconciled"))
            cluster.put_secret("elsewhere", url=other)
            cluster.apply(Kind.DATABASE, "default", {"secretRef": {"name": "elsewhere", "key": "url"}})
            await cluster.until(lambda: cluster.reasons("emails") == ["Created", "Created"])


async def test_a_row_is_not_written_before_its_object_has_the_finalizer(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    cluster.faults["set_finalizers"] = ClusterError("busy")
    cluster.apply(Kind.SCHEDULE, "nightly", {"workflowName": "w", "schedule": "@daily"})
    await cluster.until(lambda: cluster.condition(Kind.SCHEDULE, "nightly") == ("False", "Pending"))
    assert not sql("SELECT * FROM workflow_schedules")
    cluster.faults.clear()
    await cluster.until(lambda: cluster.condition(Kind.SCHEDULE, "nightly") == ("True", "Reconciled"))


async def test_a_target_that_changed_meanwhile_is_looked_at_again(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    target = cluster.put_workload("worker", replicas=2)
    cluster.faults["patch_scale"] = ConflictError("changed")
    cluster.apply(Kind.QUEUE, "emails", {"scaling": WORKER})
    await cluster.until(lambda: cluster.calls["patch_scale"] >= 2)
    cluster.faults["patch_scale"] = ClusterError("forbidden")
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails", "ScalingActive")[0] == "False")
    cluster.faults.clear()
    await cluster.until(lambda: cluster.desired.snapshot().workloads[target].replicas == 0)
    await cluster.until(lambda: cluster.reasons("emails").count("Scaled") == 1)


async def test_pods_that_cannot_be_listed_are_not_taken_for_idle_or_gone(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    target = cluster.put_workload("worker", replicas=2)
    cluster.apply(Kind.QUEUE, "emails", {"scaling": {**WORKER, "minReplicas": 2}})
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails")[0] == "True")
    await cluster.until(lambda: len(sql("SELECT * FROM dbos_operator.executors")) == 2)
    cluster.faults["list_pods"] = ClusterError("busy")
    cluster.apply(Kind.QUEUE, "emails", {"scaling": WORKER})
    generation = cluster.identity(Kind.QUEUE, "emails").generation
    await cluster.until(lambda: cluster.status(Kind.QUEUE, "emails")["observedGeneration"] == generation)
    assert cluster.desired.snapshot().workloads[target].replicas == 2
    assert not sql("SELECT * FROM dbos_operator.executors WHERE gone_since_ms IS NOT NULL")
    cluster.faults.clear()
    await cluster.until(lambda: cluster.desired.snapshot().workloads[target].replicas == 0)


async def test_a_target_that_does_not_exist_is_told_and_the_queue_stays_ready(
    cluster: FakeCluster, operator: Operator
) -> None:
    cluster.apply(Kind.QUEUE, "emails", {"scaling": WORKER})
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails", "ScalingActive") == ("False", "TargetNotFound"))
    assert cluster.condition(Kind.QUEUE, "emails") == ("True", "Reconciled")


async def test_databases_that_go_together_are_no_error(
    cluster: FakeCluster, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"other-{number}" for number in range(5)]
    for name in names:
        cluster.apply(Kind.DATABASE, name, {"secretRef": {"name": "db", "key": "url"}, "schema": name})
        cluster.apply(Kind.QUEUE, f"{name}-queue", {"databaseRef": {"name": name}})
    async with start() as operator:
        await cluster.until(lambda: all(cluster.condition(Kind.DATABASE, name)[0] == "True" for name in names))
        for name in names:
            cluster.delete(Kind.QUEUE, f"{name}-queue")
            cluster.delete(Kind.DATABASE, name)
        await cluster.until(lambda: operator.activity().settled)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
