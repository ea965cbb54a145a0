"""Create, migrate and reset a system database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from dbos import DBOS, DBOSClient, run_dbos_database_migrations
from dbos.error import DBOSException, DBOSInitializationError
from integration.runtime.conftest import Launch
from support.bystander import Bystander, bystander

pytestmark = pytest.mark.both_databases


def some_work(launch: Launch) -> None:
    @DBOS.workflow(name="work")
    def work() -> int:
        return 1

    launch()
    DBOS.register_queue("q")
    assert DBOS.start_workflow(work).get_result() == 1
    assert len(DBOS.list_workflows()) == 1


@pytest.mark.parametrize("truncate", [False, True])
def test_a_reset_forgets_everything_and_the_next_launch_works(launch: Launch, sql: Bystander, truncate: bool) -> None:
    some_work(launch)
    sql.execute("CREATE TABLE dbos.mine (number integer)")
    with pytest.raises(DBOSException, match=r"cannot be reset after DBOS\.launch"):
        DBOS.reset_system_database()
    settings = DBOS._instance._application.settings.database.url  # type: ignore[union-attr]
    DBOS.destroy(destroy_registry=True)

    DBOS.reset_system_database(system_database_url=settings, truncate=truncate)
    some_work(launch)
    assert sql.execute("SELECT * FROM dbos.mine").fetchall() == []
    assert [each.name for each in DBOS.list_queues() if each.name == "q"] == ["q"]


def test_a_reset_between_configuration_and_launch_takes_the_configured_database(
    database_url: str, client: DBOSClient
) -> None:
    client.enqueue({"workflow_name": "w", "queue_name": "q"})
    client.destroy()
    DBOS(config={"name": "orders", "system_database_url": database_url, "run_admin_server": False})
    try:
        DBOS.reset_system_database()
        DBOS.reset_system_database()
        DBOS.launch()
        assert DBOS.list_workflows() == []
    finally:
        DBOS.destroy(destroy_registry=True)


def test_a_reset_needs_to_know_which_database() -> None:
    with pytest.raises(DBOSException, match="Which system database"):
        DBOS.reset_system_database()


def test_a_migration_is_repeatable(database_url: str) -> None:
    DBOS.migrate(database_url)
    run_dbos_database_migrations(database_url)
    with DBOSClient(system_database_url=database_url) as client:
        assert client.list_workflows() == []


def test_a_url_that_names_no_database_is_refused() -> None:
    with pytest.raises(DBOSInitializationError, match="system_database_url: expected"):
        DBOS.migrate("nonsense")
    with pytest.raises(DBOSException, match="sharding"):
        DBOS.migrate("sqlite:///x.sqlite", sharding=True)


@pytest.mark.postgresql_only
def test_a_role_of_the_application_may_use_what_an_administrator_migrated(
    empty_database_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as admin:
        admin.execute('DROP ROLE IF EXISTS "an app"')
        admin.execute('CREATE ROLE "an app" LOGIN')
    DBOS.migrate(empty_database_url, schema='odd "name', application_role="an app")
    url = make_url(empty_database_url).set(username="an app", password=None).render_as_string(hide_password=False)
    with DBOSClient(system_database_url=url, dbos_system_schema='odd "name') as client:
        client.enqueue({"workflow_name": "w", "queue_name": "q"})
        assert len(client.list_workflows()) == 1
    with psycopg.connect(empty_database_url, autocommit=True) as admin:
        admin.execute('DROP OWNED BY "an app"')
        admin.execute('DROP ROLE "an app"')
    with pytest.raises(DBOSInitializationError, match="rights of 'nobody at all' could not be granted"):
        DBOS.migrate(empty_database_url, application_role="nobody at all")


@pytest.mark.postgresql_only
def test_a_reset_leaves_other_tables_of_the_database(database_url: str) -> None:
    with bystander(database_url) as sql:
        sql.execute("CREATE TABLE public.orders (number integer)")
        DBOS.reset_system_database(system_database_url=database_url)
        assert sql.execute("SELECT * FROM public.orders").fetchall() == []
        found = sql.execute("SELECT 1 AS one FROM pg_namespace WHERE nspname = 'dbos'").fetchall()
        assert found == []


def test_a_configuration_file_completes_the_code(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "dbos-config.yaml").write_text(
        "name: filed-app\nsystem_database_url: ${SOME_URL}\nruntimeConfig: {run_admin_server: false}\n"
    )
    program = "from dbos import DBOS\nDBOS()\nDBOS.launch()\nprint(DBOS.list_workflows())\nDBOS.destroy()\n"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DBOS")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**environment, "SOME_URL": database_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert not list(tmp_path.glob("*filed*.sqlite"))
    assert "application filed-app" in done.stderr
