"""A database that goes and comes back under load: nothing lost, nothing doubled, no restart needed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from chaos.conftest import Site
from dbos import DBOSClient
from support.waiting import eventually

pytestmark = pytest.mark.timeout(400)  # a load to work off, which takes a busy machine long
THREADS = 4


@contextmanager
def _load(site: Site) -> Iterator[list[str]]:
    """Enqueue from several threads for the length of the block; the IDs that were acknowledged."""
    stop = threading.Event()
    acknowledged: list[str] = []
    options = {"workflow_name": "work", "queue_name": "work", "app_version": "v1"}

    def enqueue() -> None:
        while not stop.is_set():
            acknowledged.append(client.enqueue(options).workflow_id)  # type: ignore[arg-type]
            time.sleep(0.01)  # the rate of the load

    with (
        DBOSClient(system_database_url=site.url, application_name="orders") as client,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        working: list[Future[None]] = [pool.submit(enqueue) for _ in range(THREADS)]
        try:
            yield acknowledged
        finally:
            stop.set()
            for future in working:
                future.result(30)


def _ids(site: Site) -> list[str]:
    with psycopg.connect(site.url) as connection:
        return [row[0] for row in connection.execute("SELECT workflow_uuid FROM dbos.workflow_status")]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_goes_and_comes_back(site: Site, how: str) -> None:
    with site.worker() as worker:
        worker.wait_for("launched", within=60)  # else what is enqueued meanwhile takes long to work off
        with _load(site) as acknowledged:
            eventually(lambda: len(site.effects()), lambda acted: acted > 50)
            getattr(site.server, how)()
            time.sleep(1)  # long enough that everybody notices
            site.server.start()
            before = len(acknowledged)
            eventually(lambda: len(acknowledged), lambda now: now > before + 50, within=60)
        site.settle(len(acknowledged), worker)
    assert sorted(_ids(site)) == sorted(acknowledged)
    assert set(site.effects().values()) == {1}
    assert len(site.effects()) == 4 * len(acknowledged)


def test_connections_that_are_killed_at_random(site: Site) -> None:
    random.seed(7)
    with site.worker() as worker:
        worker.wait_for("launched", within=60)
        with _load(site) as acknowledged, psycopg.connect(site.url, autocommit=True) as killer:
            for _ in range(60):
                pids = killer.execute(
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                ).fetchall()
                if pids:
                    killer.execute("SELECT pg_terminate_backend(%s)", random.choice(pids))
                time.sleep(0.03)  # between two blows
        site.settle(len(acknowledged), worker)
    assert sorted(_ids(site)) == sorted(acknowledged)
    assert set(site.effects().values()) == {1}
    assert len(site.effects()) == 4 * len(acknowledged)
