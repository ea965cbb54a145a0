"""The published package launches and works on a schema that we created."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg

from support.peer import run_peer
from support.pgcatalog import read_catalog

# run_migrations=False makes the launch fail where the package finds anything to migrate.
_WORKER = """
import json, sys
from dbos import DBOS, DBOSClient

url = sys.argv[1]
DBOS(config={"name": "app", "system_database_url": url, "run_migrations": False})

@DBOS.step()
def loud(text):
    return text.upper()

@DBOS.workflow(name="greet")
def greet(name):
    return "hello " + loud(name)

@DBOS.workflow(name="wait_for_mail")
def wait_for_mail():
    DBOS.set_event("ready", True)
    return DBOS.recv("mail", timeout_seconds=30)

DBOS.launch()
DBOS.register_queue("q")
client = DBOSClient(system_database_url=url)
enqueued = client.enqueue({"queue_name": "q", "workflow_name": "greet"}, "client")
waiting = DBOS.start_workflow(wait_for_mail)
client.send(waiting.workflow_id, "letter", "mail")
results = {
    "client": enqueued.get_result(),
    "sql": DBOS.retrieve_workflow("from-sql").get_result(),
    "direct": greet("direct"),
    "message": waiting.get_result(),
    "event": DBOS.get_event(waiting.workflow_id, "ready"),
}
client.destroy()
DBOS.destroy()
print(json.dumps(results))
"""


def test_it_runs_what_clients_and_sql_enqueued(database_url: str, peer: Path) -> None:
    before = read_catalog(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT dbos.enqueue_workflow('greet', 'q', ARRAY['\"sql\"']::json[], workflow_id => 'from-sql')"
        )
        done = run_peer(_WORKER, database_url)
        version = connection.execute("SELECT version FROM dbos.dbos_migrations").fetchall()
    assert json.loads(done.stdout) == {
        "client": "hello CLIENT",
        "sql": "hello SQL",
        "direct": "hello DIRECT",
        "message": "letter",
        "event": True,
    }
    assert version == [(125,)]
    assert read_catalog(database_url) == before
