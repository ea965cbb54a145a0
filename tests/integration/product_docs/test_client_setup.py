"""The documentation's blocks that open a client: on the servers that they name, which are another one here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

import dbos
from dbos import DBOS, DBOSClient
from dbos.config.databases import system_url_beside
from dbos.store.catalog import quote_identifier
from support.postgres import PostgresServer
from support.product_docs import Blocks, all_blocks
from support.waiting import eventually

from .shop import Shop, open_shop


class NamedServer:
    """The server that every host stands for; its databases have a prefix, and go in the end."""

    def __init__(self, server: PostgresServer, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self.clients: list[DBOSClient] = []

    def url(self, named: str) -> str:
        """Where a URL of the documentation leads; the database exists then."""
        name = f"{self._prefix}_{make_url(named).database}"
        self.create(name)
        return self._server.url_of(name)

    def create(self, name: str) -> None:
        """Make a database unless it is there."""
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {quote_identifier(name)}".encode())

    def client(self, *args: Any, **kwargs: Any) -> DBOSClient:
        """A DBOSClient with these arguments, its URLs led here."""
        urls = {name: self.url(value) for name, value in kwargs.items() if name.endswith("_url")}
        client = DBOSClient(*map(self.url, args), **{**kwargs, **urls})
        self.clients.append(client)
        return client

    def close(self) -> None:
        """Close the clients and drop the databases."""
        for client in self.clients:
            client.destroy()
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            found = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{self._prefix}%",))
            for (name,) in found.fetchall():
                connection.execute(f"DROP DATABASE {quote_identifier(name)} WITH (FORCE)".encode())


@pytest.fixture
def localhost(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[NamedServer]:
    """The server of the blocks: what they import as DBOSClient goes there."""
    server = NamedServer(postgres_server, make_url(postgres_server.create_database(schema=False)).database or "")
    monkeypatch.setitem(dbos.__dict__, "DBOSClient", server.client)
    yield server
    server.close()


def test_a_client_is_set_up_with_one_url_or_two(blocks: Blocks, localhost: NamedServer) -> None:
    client = blocks.run("client-guide/01-setup.py")["client"]

    assert len(localhost.clients) == 2
    with pytest.raises(Exception, match="closed"):
        client.list_workflows()
    assert localhost.clients[0].list_workflows() == []


def test_a_client_finds_the_system_database_beside_the_applications(
    blocks: Blocks, localhost: NamedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    application = localhost.url("postgresql://user:pass@localhost/myapp")
    with (
        pytest.warns(DeprecationWarning, match="application_database_url"),
        open_shop(f"{application}_dbos_sys"),
    ):
        blocks.run("client-reference/02-basic-usage.py")

    assert capsys.readouterr().out == "Result: ['order-123', '456', None]\nStatus: SUCCESS\n"


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    """A shop of the version that the forks ask for."""
    with open_shop(database_url, version="v1.2.4") as opened:
        yield opened


@pytest.mark.both_databases
def test_a_fork_runs_from_a_step_on_a_version(blocks: Blocks, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[int] = []

    def job() -> int:
        for number in range(1, 6):
            DBOS.run_step({"name": f"step {number}"}, lambda number=number: ran.append(number))
        return len(ran)

    shop.start(job, "original-wf-123").get_result()
    space = blocks.run("client-guide/20-fork.py", client=shop.client)
    eventually(lambda: [run.status for run in DBOS.list_workflows()], lambda found: found == ["SUCCESS"] * 3)

    assert sorted(ran) == sorted([1, 2, 3, 4, 5, 5, 3, 4, 5])
    assert capsys.readouterr().out == "Forked from: original-wf-123\n"
    assert space["forked_id"] == space["status"].workflow_id
    assert space["status"].app_version == "v1.2.4"


@pytest.mark.both_databases
def test_the_dashboard_shows_what_runs_and_fails(
    blocks: Blocks, shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def client(system_database_url: str) -> DBOSClient:
        assert system_database_url == "postgresql://user:pass@localhost/dbos"
        return DBOSClient(system_database_url=shop.url)

    monkeypatch.setitem(dbos.__dict__, "DBOSClient", client)
    failed = shop.run("process_payment", -1.0)
    shop.client.enqueue({"workflow_name": "x", "queue_name": "reports"})
    block = "client-guide/29-dashboard.py"
    pause = all_blocks()[block].source.splitlines().index("            time.sleep(poll_interval)") + 1
    looked_once = threading.Event()
    space = blocks.run(block, watch=lambda line: line == pause and looked_once.set())

    stats = {"total": 2, "success": 0, "error": 1, "pending": 0, "cancelled": 0, "enqueued": 1}
    assert capsys.readouterr().out.splitlines() == [
        f"Workflow Stats (last hour): {stats}",
        "",
        "Slow workflows (>2 minutes): 0",
        "",
        "Recent failures: 1",
        f" {failed}: a negative payment",
        "",
        "Queue Statistics:",
        " reports: 1 workflows",
    ]
    dashboard = space["WorkflowDashboard"]("postgresql://user:pass@localhost/dbos")
    dashboard.monitor_workflow(dashboard.retry_failed_workflow(failed), poll_interval=0.1)
    looked_once.clear()
    shop.start(lambda: looked_once.wait(60), "busy")
    dashboard.monitor_workflow("busy", poll_interval=0.1)
    retried, busy = capsys.readouterr().out.split("Monitoring workflow busy...\nStatus: PENDING\n")
    assert retried.endswith("Status: ERROR\nError: a negative payment\n")
    assert busy.endswith("Status: SUCCESS\nResult: True\n")

    # Not kept: times are whole milliseconds, as another page of the documentation has it.
    with pytest.raises(AttributeError, match="total_seconds"):
        dashboard.get_slow_workflows()
    dashboard.cleanup()
    blocks.excuse(block, "if duration > threshold_seconds", "slow.append(", "print(f\" {wf['name']}:")


@pytest.mark.both_databases
def test_a_client_of_the_applications_url_is_used_and_closed(blocks: Blocks, user_url: str) -> None:
    options = {"workflow_name": "process_order", "queue_name": "orders"}
    with open_shop(system_url_beside(user_url)), pytest.warns(DeprecationWarning, match="application_database_url"):
        space = blocks.run("client-reference/35-destroy-example.py", url=user_url, options=options)

    assert space["result"] == [..., None, None]
    with pytest.raises(Exception, match="closed"):
        space["client"].list_workflows()


@pytest.mark.both_databases
def test_a_client_of_the_first_edition_takes_the_applications_url(
    blocks: Blocks, user_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBOS_DATABASE_URL", user_url)
    with open_shop(system_url_beside(user_url)) as shop:
        with pytest.warns(DeprecationWarning, match="database_url"):
            client = blocks.run("client-reference-1x/02-constructor-example.py")["client"]
        order = shop.run("process_order", "1")
        assert [run.workflow_id for run in client.list_workflows()] == [order]
        client.destroy()
