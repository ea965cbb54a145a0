"""The documentation's blocks about configuration, serializers, classes, tests and transactions."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypedDict, cast

import pytest
import sqlalchemy
from sqlalchemy import Column, MetaData, String, Table, select, text
from sqlalchemy.engine import make_url

from dbos import DBOS, DBOSConfiguredInstance, SetWorkflowID
from dbos.api.runtime import engine
from dbos.store.dialects.postgres_pool import WAIT_SECONDS
from support.bystander import Bystander, bystander
from support.product_docs import Blocks, all_blocks

pytestmark = pytest.mark.both_databases


def test_the_workflows_of_an_instance_run_and_are_found_by_its_name(
    blocks: Blocks, application: DBOS, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def get(url: str) -> SimpleNamespace:
        asked.append(url)
        return SimpleNamespace(text="the page")

    space = blocks.run("programming-guide/51-classes.py", requests=SimpleNamespace(get=get))

    assert "the page\n" in capsys.readouterr().out
    (run,) = DBOS.list_workflows()
    assert (run.class_name, run.config_name) == ("URLFetcher", "https://example.com")
    assert issubclass(space["URLFetcher"], DBOSConfiguredInstance)
    again = DBOS.fork_workflow(run.workflow_id, 1)  # as a recovery does: found by name, in another thread
    assert again.get_result() == "the page"
    assert asked == ["https://example.com"] * 2


def test_a_fixture_gives_each_test_an_empty_application(
    blocks: Blocks, place: str, user_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTING_DATABASE_URL", user_url)
    fixtures = SimpleNamespace(fixture=lambda: lambda function: function)
    reset_dbos = blocks.run("programming-guide/52-testing.py", pytest=fixtures)["reset_dbos"]

    @DBOS.workflow()
    def answer() -> int:
        return 42

    for _ in range(2):
        with pytest.warns(DeprecationWarning, match="database_url"):
            reset_dbos()
        assert DBOS.list_workflows() == []
        assert answer() == 42
        assert len(DBOS.list_workflows()) == 1


def test_what_a_url_leaves_open_can_be_filled_in(place: str, database_kind: str, sql: Bystander) -> None:
    sample = "66-postgresql-url.txt" if database_kind == "postgresql" else "67-sqlite-url.txt"
    url, given = all_blocks()[f"programming-guide/{sample}"].source.strip(), make_url(place)
    parts = {
        "[username]": given.username or "",
        "[password]": given.password or "any",
        "[hostname]": given.host or "",
        "[port]": str(given.port),
        "[database name]": given.database or "",
        "[path to database file]": given.database or "",
    }
    for part, value in parts.items():
        url = url.replace(part, value)
    assert "[" not in url

    DBOS(config={"name": "shop", "system_database_url": url})
    DBOS.launch()

    assert sql.execute("SELECT application_name FROM dbos.application_versions").fetchall() == [
        {"application_name": "shop"}
    ]


def test_without_a_url_the_database_is_a_file_with_the_name_of_the_application(
    application_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = all_blocks()["programming-guide/68-default-url.txt"].source.strip()
    DBOS(config={"name": application_name})
    DBOS.launch()
    DBOS.destroy()

    assert Path(url.replace("[application_name]", application_name).removeprefix("sqlite:///")).is_file()


@pytest.fixture
def application_name() -> str:
    """A name without `-`: the published package writes it as `_`, and so do we."""
    return "shop"


def test_every_key_but_the_name_may_be_none(blocks: Blocks, place: str, sql: Bystander) -> None:
    names = {"TypedDict": TypedDict, "sqlalchemy": sqlalchemy}
    keys = blocks.run("programming-guide/65-configuration-keys.py", **names)["DBOSConfig"].__annotations__
    config: Any = {**dict.fromkeys(keys), "name": "shop", "system_database_url": place}

    DBOS(config=config)
    DBOS.launch()

    assert sql.execute("SELECT application_name FROM dbos.application_versions").fetchall() == [
        {"application_name": "shop"}
    ]


def test_a_pool_has_the_defaults_of_the_documentation(blocks: Blocks, application: DBOS, database_kind: str) -> None:
    told = eval(blocks.elsewhere("programming-guide/69-engine-defaults.py"))
    database = engine().services.database
    pool, source = cast("Any", database.engine.pool), cast("Any", database.source)
    # On PostgreSQL the same number is divided: statements have a pool of the driver, composed listings an engine.
    beside = source._settings.size if database_kind == "postgresql" else 0

    assert told["pool_size"] == pool.size() + beside
    assert told["max_overflow"] == pool._max_overflow
    assert told["pool_timeout"] == pool._timeout == WAIT_SECONDS


def test_whatever_has_the_interface_is_a_serializer(blocks: Blocks, place: str, sql: Bystander) -> None:
    base = blocks.run("programming-guide/70-serializer-interface.py", ABC=ABC, abstractmethod=abstractmethod)

    class Reversed(base["Serializer"]):  # type: ignore[misc]
        def serialize(self, data: object) -> str:
            super().serialize(data)
            return json.dumps(data)[::-1]

        def deserialize(self, serialized_data: str) -> object:
            super().deserialize(serialized_data)
            return json.loads(serialized_data[::-1])

    DBOS(config={"name": "shop", "system_database_url": place, "serializer": Reversed()})
    DBOS.launch()
    assert_results_are_kept(sql, json.dumps([1, 2])[::-1])


def test_a_json_serializer_keeps_everything_in_json(blocks: Blocks, place: str, sql: Bystander) -> None:
    blocks.run("programming-guide/71-serializer.py")

    assert_results_are_kept(sql, json.dumps([1, 2]))


def assert_results_are_kept(sql: Bystander, written: str) -> None:
    @DBOS.step()
    def numbers(low: int) -> list[int]:
        return [low, low + 1]

    @DBOS.workflow()
    def count(low: int) -> list[int]:
        return numbers(low)

    with SetWorkflowID("w"):
        assert count(1) == [1, 2]
    assert DBOS.retrieve_workflow("w").get_result() == [1, 2]
    (step,) = sql.execute("SELECT output, serialization FROM dbos.operation_outputs").fetchall()
    assert step == {"output": written, "serialization": "custom_serializer"}
    assert DBOS.list_workflow_steps("w")[0]["output"] == [1, 2]


@pytest.mark.parametrize(
    "block", ["programming-guide/72-transactions-sqlalchemy.py", "programming-guide/73-transactions-raw-sql.py"]
)
def test_transactions_insert_and_select(
    block: str, blocks: Blocks, application: DBOS, place: str, sql: Bystander
) -> None:
    sql.execute("CREATE TABLE greetings (name text, note text)")
    given = {"Table": Table, "MetaData": MetaData, "Column": Column, "String": String, "select": select, "text": text}
    space = blocks.run(block, **given)

    @DBOS.workflow()
    def greet(name: str) -> list[str | None]:
        before = space["example_select"](name)
        space["example_insert"](name, "welcome")
        return [before, space["example_select"](name)]

    with SetWorkflowID("w"):
        assert greet("ada") == [None, "welcome"]
    assert greet("ada")[0] == "welcome"
    with bystander(place) as somebody:
        assert len(somebody.execute("SELECT note FROM greetings").fetchall()) == 2
    assert [step["function_name"] for step in DBOS.list_workflow_steps("w")] == [
        "example_select",
        "example_insert",
        "example_select",
    ]
