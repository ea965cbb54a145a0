"""Of DBOSDatabases that mean one database the oldest works it, whoever is there first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dbos_operator.gateway.postgres import open_gateway
from dbos_operator.gateway.protocol import Gateway, GatewayRequest, Prepared
from dbos_operator.loop import operator
from dbos_operator.resources.identity import Kind
from support.cut_off_gateway import CutOff, Outage
from support.fake_cluster import FakeCluster

Sql = Callable[..., list[dict[str, Any]]]
Start = Callable[..., Any]

TWIN = {"secretRef": {"name": "twin", "key": "url"}}
EVERY_SECOND = {"databaseRef": {"name": "twin"}, "workflowName": "tick", "schedule": "* * * * * *"}


def another_way(url: str) -> str:
    """The same database by another URL."""
    return f"{url}{'&' if '?' in url else '?'}application_name=twin"


class Late(CutOff):
    """A gateway that finds out where it is only when it may."""

    def __init__(self, gateway: Gateway, asked: threading.Event, may: threading.Event) -> None:
        super().__init__(gateway, Outage())
        self.asked, self.may = asked, may

    def prepare(self) -> Prepared:
        self.asked.set()
        assert self.may.wait(30)
        return super().prepare()


async def test_the_younger_does_nothing_before_the_older_has_looked(
    cluster: FakeCluster, start: Start, sql: Sql, database_url: str
) -> None:
    asked, may = threading.Event(), threading.Event()
    cluster.put_secret("twin", url=another_way(database_url))
    cluster.apply(Kind.DATABASE, "twin", TWIN)
    cluster.apply(Kind.SCHEDULE, "tick", EVERY_SECOND)
    arrived = threading.Event()

    def open_one(request: GatewayRequest) -> Gateway:
        opened = open_gateway(request)
        if "application_name=twin" not in request.url:
            return Late(opened, asked, may)
        may_at_once = threading.Event()
        may_at_once.set()
        return Late(opened, arrived, may_at_once)

    async with start(open_gateway=open_one) as running:
        await cluster.until(lambda: asked.is_set() and arrived.is_set())
        await cluster.until(lambda: sql("SELECT FROM information_schema.tables WHERE table_schema = 'dbos_operator'"))
        assert not running.health().ready
        may.set()
        await cluster.until(lambda: cluster.condition(Kind.DATABASE, "twin", "Stalled") == ("True", "SameDatabase"))
    assert not sql("SELECT * FROM workflow_schedules")
    assert not sql("SELECT * FROM dbos_operator.owned")


async def test_an_older_database_that_hangs_does_not_hold_the_others(
    cluster: FakeCluster, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator, "LOOK_AGAIN_SECONDS", 0.2)
    asked, may = threading.Event(), threading.Event()
    cluster.apply(Kind.DATABASE, "another", {"secretRef": {"name": "db", "key": "url"}, "schema": "another"})

    def open_one(request: GatewayRequest) -> Gateway:
        opened = open_gateway(request)
        return opened if request.schema == "another" else Late(opened, asked, may)

    async with start(open_gateway=open_one):
        await cluster.until(lambda: cluster.condition(Kind.DATABASE, "another") == ("True", "Connected"))
        assert asked.is_set()
        may.set()


async def test_after_a_restart_of_the_server_the_younger_is_still_the_younger(
    cluster: FakeCluster, start: Start, sql: Sql, database_url: str
) -> None:
    restarts = 0
    twin_looks: list[int] = []

    class Restarted(CutOff):
        """Another identity after each restart, as a server gives it; connections of a pool need not notice one."""

        def __init__(self, request: GatewayRequest) -> None:
            super().__init__(open_gateway(request), Outage())
            self.is_twin = "application_name=twin" in request.url

        def prepare(self) -> Prepared:
            found = super().prepare()
            if self.is_twin:
                twin_looks.append(restarts)
            return replace(found, identity=f"{restarts}/{found.identity}")

    async with start(open_gateway=Restarted):
        await cluster.until(lambda: cluster.condition(Kind.DATABASE, "default") == ("True", "Connected"))
        cluster.put_secret("twin", url=another_way(database_url))
        cluster.apply(Kind.DATABASE, "twin", TWIN)
        cluster.apply(Kind.SCHEDULE, "tick", EVERY_SECOND)
        await cluster.until(lambda: cluster.condition(Kind.DATABASE, "twin", "Stalled") == ("True", "SameDatabase"))
        restarts += 1
        await cluster.until(lambda: twin_looks.count(1) == 2)  # whatever the first look led to has happened
        assert cluster.condition(Kind.DATABASE, "twin", "Stalled") == ("True", "SameDatabase")
    assert not sql("SELECT * FROM workflow_schedules")
