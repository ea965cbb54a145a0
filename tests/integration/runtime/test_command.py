"""The `dbos` command on a database with work in it."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from click.testing import CliRunner, Result
from sqlalchemy.engine import make_url

from dbos import DBOS, DBOSClient, SetWorkflowID
from dbos.cli.main import main
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.worker_process import dbos_command

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No dbos-config.yaml and no variable, unless a test makes them."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in list(os.environ):
        if name.startswith("DBOS"):
            monkeypatch.delenv(name)


@pytest.fixture
def run(database_url: str) -> Callable[..., Result]:
    """Runs a command on the database of the test."""

    def invoke(*arguments: str, **options: Any) -> Result:
        return CliRunner(env={"DBOS_SYSTEM_DATABASE_URL": database_url}).invoke(main, list(arguments), **options)

    return invoke


@pytest.fixture
def work(launch: Launch, sql: Bystander) -> None:
    """A workflow that succeeded, one that failed, and one that waits, each of a later millisecond."""

    @DBOS.step(name="double")
    def double(number: int) -> int:
        return number * 2

    @DBOS.workflow(name="doubling")
    def doubling(number: int) -> int:
        return double(number)

    @DBOS.workflow(name="failing")
    def failing() -> None:
        raise ValueError("no such order")

    @DBOS.workflow(name="nightly")
    def nightly(scheduled: Any, context: Any) -> None:
        pass

    launch()
    DBOS.register_queue("limited", global_concurrency=3, limiter={"limit": 5, "period": 2.0})
    with SetWorkflowID("one"):
        doubling(3)
    with SetWorkflowID("two"), pytest.raises(ValueError, match="no such order"):
        failing()
    with SetWorkflowID("three"):
        DBOS.enqueue_workflow("nobody", doubling, 4)
    for later, workflow_id in enumerate(("one", "two", "three")):
        sql.execute(
            "UPDATE dbos.workflow_status SET created_at = created_at + %s WHERE workflow_uuid = %s",
            [later, workflow_id],
        )
    DBOS.create_schedule(schedule_name="nightly", workflow_fn=nightly, schedule="0 3 * * *")


def done(result: Result) -> str:
    """What a command printed; it must have succeeded."""
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("work")
def test_workflows_are_listed_and_shown(run: Callable[..., Result]) -> None:
    listed = json.loads(done(run("workflow", "list")))
    assert [each["workflow_id"] for each in listed] == ["one", "two", "three"]
    assert [each["workflow_id"] for each in json.loads(done(run("workflow", "list", "-S", "error")))] == ["two"]
    assert [each["workflow_id"] for each in json.loads(done(run("workflow", "list", "-l", "1", "-d")))] == ["three"]
    assert [each["workflow_id"] for each in json.loads(done(run("workflow", "queue", "list")))] == ["three"]
    for command in (["list"], ["queue", "list"]):
        [stuck] = json.loads(done(run("workflow", *command, "--undispatchable")))
        assert (stuck["workflow_id"], stuck["undispatchable"]) == ("three", "unregistered queue")
    table = done(run("workflow", "queue", "list", "--output", "table")).splitlines()
    assert table[0].split()[-1] == "UNDISPATCHABLE"
    assert table[1].endswith("unregistered queue")
    one = json.loads(done(run("workflow", "get", "one")))
    assert (one["status"], one["input"], one["output"]) == ("SUCCESS", {"args": [3], "kwargs": {}}, 6)
    assert json.loads(done(run("workflow", "get", "two")))["error"] == "no such order"
    assert yaml.safe_load(done(run("workflow", "get", "one", "--output", "yaml"))) == one
    table = done(run("workflow", "list", "--output", "table")).splitlines()
    assert table[0].split() == ["WORKFLOW_ID", "STATUS", "NAME", "QUEUE_NAME", "CREATED_AT", "COMPLETED_AT"]
    assert table[3].split()[:4] == ["three", "ENQUEUED", "doubling", "nobody"]
    [step] = json.loads(done(run("workflow", "steps", "one")))
    assert (step["function_id"], step["function_name"], step["output"]) == (1, "double", 6)


@pytest.mark.usefixtures("work")
def test_workflows_are_cancelled_resumed_and_forked(run: Callable[..., Result], client: DBOSClient) -> None:
    cancelled = run("workflow", "cancel", "three", "one")
    assert cancelled.exit_code == 0
    assert cancelled.stderr.splitlines() == ["three CANCELLED", "one SUCCESS"]
    done(run("workflow", "resume", "three"))
    assert client.retrieve_workflow("three").get_result() == 8
    copy = json.loads(done(run("workflow", "fork", "one", "-S", "2", "-f", "copy")))
    assert (copy["workflow_id"], copy["forked_from"]) == ("copy", "one")
    assert client.retrieve_workflow("copy").get_result() == 6


@pytest.mark.usefixtures("work")
def test_queues_and_schedules_are_listed_and_managed(run: Callable[..., Result], client: DBOSClient) -> None:
    [limited] = [each for each in json.loads(done(run("queue", "list"))) if each["name"] == "limited"]
    assert (limited["global_concurrency"], limited["limiter"]) == (3, {"limit": 5, "period": 2.0})
    assert (limited["registered"], limited["enqueued"]) == (True, 0)
    [nobody] = [each for each in json.loads(done(run("queue", "list"))) if not each["registered"]]
    assert (nobody["name"], nobody["enqueued"], nobody["pending"], nobody["delayed"]) == ("nobody", 1, 0, 0)
    assert nobody["global_concurrency"] is None
    table = done(run("queue", "list", "--output", "table")).splitlines()
    assert ["nobody", "-", "-", "-", "false", "1", "0", "0"] in [line.split() for line in table]
    assert [each["schedule_name"] for each in json.loads(done(run("schedule", "list")))] == ["nightly"]
    done(run("schedule", "pause", "nightly"))
    assert json.loads(done(run("schedule", "get", "nightly")))["status"] == "PAUSED"
    done(run("schedule", "resume", "nightly"))
    assert json.loads(done(run("schedule", "list", "-S", "active")))[0]["schedule"] == "0 3 * * *"
    triggered = done(run("schedule", "trigger", "nightly")).strip()
    assert client.retrieve_workflow(triggered).get_result() is None
    filled = done(run("schedule", "backfill", "nightly", "2026-01-01", "2026-01-03T12:00:00+00:00")).split()
    assert len(filled) == 3
    done(run("schedule", "delete", "nightly"))
    assert json.loads(done(run("schedule", "list"))) == []


@pytest.mark.usefixtures("work")
def test_an_application_is_renamed_and_a_database_reset(run: Callable[..., Result]) -> None:
    DBOS.destroy(destroy_registry=True)
    assert "Nothing was changed" in done(run("rename-application", "-f", "orders", "-t", "sales", input="n\n"))
    counts = json.loads(done(run("rename-application", "-y", "-f", "orders", "-t", "sales")))
    assert counts["workflows"] == 3
    assert {each["application_name"] for each in json.loads(done(run("workflow", "list")))} == {"sales"}
    assert "Nothing was changed" in done(run("reset", input="n\n"))
    done(run("reset", "--yes"))
    done(run("migrate"))
    assert json.loads(done(run("workflow", "list"))) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("workflow", "get", "nope"),
        ("workflow", "steps", "nope"),
        ("workflow", "cancel", "nope"),
        ("workflow", "resume", "nope"),
        ("workflow", "fork", "nope"),
        ("schedule", "get", "nope"),
        ("schedule", "pause", "nope"),
        ("schedule", "trigger", "nope"),
        ("schedule", "delete", "nope"),
    ],
)
def test_what_is_not_there_is_one_line_and_status_1(run: Callable[..., Result], arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "nope" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("workflow", "list", "-l", "0"), "--limit"),
        (("workflow", "list", "-S", "LATE"), "--status"),
        (("workflow", "list", "--output", "xml"), "--output"),
        (("workflow", "cancel"), "WORKFLOW_ID"),
        (("schedule", "backfill", "nightly", "yesterday", "today"), "expected ISO 8601"),
        (("migrate", "--print-user-role"), "--app-role"),
        (("migrate", "--print-migrations", "some"), "expected all or a number"),
        (("rename-application", "-y"), "--to"),
    ],
)
def test_a_wrong_use_is_status_2_and_named(run: Callable[..., Result], arguments: tuple[str, ...], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_wrong_time_is_one_line(run: Callable[..., Result]) -> None:
    result = run("workflow", "list", "-t", "noon")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "start_time: expected ISO 8601" in result.stderr


def test_the_database_comes_from_option_environment_or_file(database_url: str, tmp_path: Path) -> None:
    nowhere = f"sqlite:///{tmp_path / 'nowhere.sqlite'}"
    runner = CliRunner()
    asked = runner.invoke(main, ["workflow", "list"])
    assert asked.exit_code == 2
    assert "DBOS_SYSTEM_DATABASE_URL" in asked.stderr
    Path("dbos-config.yaml").write_text(f"name: orders\nsystem_database_url: {database_url}\n")
    assert runner.invoke(main, ["workflow", "list"]).exit_code == 0
    missing = runner.invoke(main, ["workflow", "list"], env={"DBOS_SYSTEM_DATABASE_URL": nowhere})
    assert missing.exit_code == 1
    assert "there is no file" in missing.stderr
    found = runner.invoke(main, ["workflow", "list", "-s", database_url], env={"DBOS_SYSTEM_DATABASE_URL": nowhere})
    assert found.exit_code == 0
    assert not (tmp_path / "nowhere.sqlite").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("workflow", "get", "w"),
        ("workflow", "list"),
        ("workflow", "cancel", "w"),
        ("workflow", "prune", "--application-name", "orders", "--keep", "1"),
        ("queue", "list"),
        ("schedule", "pause", "nightly"),
        ("rename-application", "--to", "orders", "--yes"),
    ],
    ids=" ".join,
)
def test_a_database_that_is_not_there_is_named_and_not_made(
    run: Callable[..., Result], arguments: tuple[str, ...], database_url: str, tmp_path: Path
) -> None:
    mistyped = f"{database_url.removesuffix('.sqlite')}x{'.sqlite' if database_url.startswith('sqlite') else ''}"
    name = make_url(mistyped).database
    result = run(*arguments, "--db-url", mistyped)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert re.search(rf"there is no (database|file) '?{name}", line), line
    assert "`dbos migrate`" in line
    assert "run_migrations" not in line
    assert not Path(str(name)).exists()
    if not database_url.startswith("sqlite"):
        with psycopg.connect(database_url) as server:
            assert server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None


def test_a_database_without_tables_is_named_and_gets_none(
    request: pytest.FixtureRequest, run: Callable[..., Result], database_kind: str, tmp_path: Path
) -> None:
    if database_kind == "sqlite":
        file = tmp_path / "empty.sqlite"
        file.touch()
        empty = f"sqlite:///{file}"
    else:
        empty = request.getfixturevalue("empty_database_url")
    for _ in range(2):  # the first made nothing
        result = run("workflow", "list", "--db-url", empty)
        assert (result.exit_code, result.stdout) == (1, "")
        assert re.fullmatch(r"Error: .*holds no DBOS tables yet; `dbos migrate` makes what is missing\n", result.stderr)


def test_a_server_that_cannot_be_reached_is_one_line(run: Callable[..., Result]) -> None:
    result = run("workflow", "list", "--db-url", "postgresql://user:secret@127.0.0.1:1/x")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "secret" not in result.stderr


def test_what_migrate_prints_is_what_it_does(tmp_path: Path) -> None:
    import sqlite3

    url = f"sqlite:///{tmp_path / 'printed.sqlite'}"
    script = done(CliRunner().invoke(main, ["migrate", "-s", url, "--print-migrations", "all"]))
    with sqlite3.connect(tmp_path / "printed.sqlite") as connection:
        connection.executescript(script)
    assert json.loads(done(CliRunner().invoke(main, ["workflow", "list", "-s", url]))) == []


@pytest.mark.postgresql_only
def test_what_migrate_prints_for_postgresql_is_what_it_does(empty_database_url: str) -> None:
    import psycopg

    script = done(
        CliRunner().invoke(main, ["migrate", "-s", empty_database_url, "--schema", "s 1", "--print-migrations", "all"])
    )
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(script.encode())
        connection.execute("CREATE ROLE printed")
        rights = done(CliRunner().invoke(main, [
            "migrate", "-s", empty_database_url, "--schema", "s 1", "-r", "printed", "--print-user-role",
        ]))  # fmt: skip
        connection.execute(rights.encode())
        connection.execute("DROP OWNED BY printed")
        connection.execute("DROP ROLE printed")
    listed = CliRunner().invoke(main, ["workflow", "list", "-s", empty_database_url, "--schema", "s 1"])
    assert json.loads(done(listed)) == []


def test_an_application_is_begun_and_started(run: Callable[..., Result], database_url: str) -> None:
    first = done(run("init", "my-app"))
    assert first.splitlines() == ["Wrote dbos-config.yaml", "Wrote main.py"]
    assert "is there already" in done(run("init", "other-app"))
    Path("dbos-config.yaml").write_text(
        Path("dbos-config.yaml").read_text().replace("python3", sys.executable) + "run_admin_server: false\n"
    )
    started = subprocess.run(
        [str(dbos_command()), "start"],
        env={**os.environ, "DBOS_SYSTEM_DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert started.returncode == 0, started.stderr
    assert "Step two completed!" in started.stdout
    assert [each["name"] for each in json.loads(done(run("workflow", "list")))] == ["dbos_workflow"]


def test_start_ends_as_its_command_does_and_hands_on_signals(run: Callable[..., Result]) -> None:
    assert run("start").exit_code == 1
    Path("dbos-config.yaml").write_text("runtimeConfig: {start: [echo first, exit 3, echo never]}\n")
    failed = subprocess.run([str(dbos_command()), "start"], capture_output=True, text=True, timeout=100, check=False)
    assert failed.returncode == 3
    assert "never" not in failed.stdout.replace("Executing: echo never", "")
    Path("dbos-config.yaml").write_text("runtimeConfig: {start: ['echo ready; sleep 100']}\n")
    with subprocess.Popen([str(dbos_command()), "start"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "ready\n" not in iter(process.stdout.readline, ""):
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM


@pytest.mark.postgresql_only
def test_postgres_is_started_and_stopped_with_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    absent = CliRunner().invoke(main, ["postgres", "start"])
    assert (absent.exit_code, len(absent.stderr.splitlines())) == (1, 1)
    assert "docker was not found" in absent.stderr
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n'
        f'case "$1 $2" in\n"container inspect") test -f {tmp_path}/made;;\n'
        f'"run --detach") : > {tmp_path}/made;;\nesac\n'
    )
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    gone = CliRunner().invoke(main, ["postgres", "stop"])
    assert (gone.exit_code, "there is no container dbos-db" in gone.stderr) == (1, True)
    url = done(CliRunner().invoke(main, ["postgres", "start"], env={"PGPASSWORD": "pw"}))
    assert url == "postgresql://postgres:pw@localhost:5432/dbos\n"
    assert "Stopped dbos-db" in done(CliRunner().invoke(main, ["postgres", "stop"]))
    calls = (tmp_path / "calls").read_text()
    assert "pw" not in calls
    assert "stop dbos-db" in calls


@pytest.mark.usefixtures("work")
def test_workflows_that_ended_are_pruned(run: Callable[..., Result], sql: Bystander) -> None:
    def left() -> set[str]:
        return {
            row["workflow_uuid"] for row in sql.execute("SELECT workflow_uuid FROM dbos.workflow_status").fetchall()
        }

    age = "UPDATE dbos.workflow_status SET completed_at = completed_at - %s WHERE workflow_uuid = %s"
    sql.execute(age, [300_000, "one"])
    sql.execute(age, [200_000, "two"])
    assert done(run("workflow", "prune", "-a", "another", "--older-than", "60")) == "0\n"
    assert done(run("workflow", "prune", "-a", "orders", "--older-than", "250")) == "1\n"
    assert left() == {"two", "three"}
    assert done(run("workflow", "prune", "-a", "orders", "--keep", "1")) == "0\n"
    assert done(run("workflow", "prune", "-a", "orders", "--older-than", "60", "--keep", "5")) == "1\n"
    assert left() == {"three"}
    nothing_said = run("workflow", "prune", "-a", "orders")
    assert nothing_said.exit_code == 2
    assert "Give --older-than, --keep or both" in nothing_said.output
    assert run("workflow", "prune", "-a", "orders", "--older-than", "5").exit_code == 2
