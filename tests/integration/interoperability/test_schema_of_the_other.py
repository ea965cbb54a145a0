"""Our worker and client work on a system database that the published package made."""

from __future__ import annotations

from pathlib import Path

from dbos import DBOSClient
from integration.interoperability.parties import POLL_SECONDS, Database, our_worker
from support.peer import run_peer
from support.pgcatalog import read_catalog

_CREATE = """
import sys
from dbos import DBOS

DBOS(config={"name": "other", "system_database_url": sys.argv[1]})
DBOS.launch()
DBOS.register_queue("made-by-other")
DBOS.destroy()
"""


def test_nothing_is_changed_and_work_is_done(empty_database_url: str, peer: Path) -> None:
    run_peer(_CREATE, empty_database_url)
    before = read_catalog(empty_database_url)
    database = Database(empty_database_url)
    with (
        our_worker(empty_database_url, APP="other"),
        DBOSClient(system_database_url=empty_database_url) as client,
    ):
        handle = client.enqueue({"workflow_name": "greet", "queue_name": "made-by-other"}, "you")
        assert handle.get_result(polling_interval_sec=POLL_SECONDS) == "YOU"
    assert database.rows("SELECT version FROM dbos.dbos_migrations") == [{"version": 125}]
    database.close()
    assert read_catalog(empty_database_url) == before
