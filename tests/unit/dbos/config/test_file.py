"""Settings from dbos-config.yaml, beside those of the code and of the environment."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from dbos._error import DBOSInitializationError
from dbos.config.file import ConfigFile, parse_config_file, read_config_file
from dbos.config.sources import load_settings

TEXT = """
name: orders
language: python
runtimeConfig:
  start:
    - python3 main.py
    - python3 other.py ${WHERE}
  admin_port: 4001
system_database_url: ${DBOS_SYSTEM_DATABASE_URL}
sys_db_pool_size: 7
"""


def test_a_file_gives_settings_and_start_commands_with_variables_filled_in() -> None:
    found = parse_config_file(TEXT, {"WHERE": "here", "DBOS_SYSTEM_DATABASE_URL": "postgresql:///x"})
    assert found.settings == {
        "name": "orders",
        "admin_port": 4001,
        "system_database_url": "postgresql:///x",
        "sys_db_pool_size": 7,
    }
    assert found.start == ("python3 main.py", "python3 other.py here")


def test_a_variable_that_is_not_set_leaves_its_key_out() -> None:
    assert "system_database_url" not in parse_config_file(TEXT, {}).settings


def test_code_wins_over_the_environment_and_that_over_the_file() -> None:
    file = parse_config_file(
        "name: filed\nexecutor_id: filed\napplication_version: filed\nsystem_database_url: sqlite:///filed.sqlite\n", {}
    )
    alone = load_settings({}, {}, file=file)
    assert (alone.name, alone.executor_id, alone.application_version) == ("filed", "filed", "filed")
    assert alone.database.url == "sqlite:///filed.sqlite"
    environment = {"DBOS__VMID": "pod", "DBOS__APPVERSION": "v-env"}
    both = load_settings({}, environment, file=file, database_url="sqlite:///env.sqlite")
    assert (both.executor_id, both.application_version) == ("pod", "v-env")
    assert both.database.url == "sqlite:///env.sqlite"
    coded: dict[str, Any] = {"name": "coded", "executor_id": "mine", "system_database_url": "sqlite:///code.sqlite"}
    all_three = load_settings(coded, environment, file=file, database_url="sqlite:///env.sqlite")
    assert (all_three.name, all_three.executor_id) == ("coded", "mine")
    assert all_three.database.url == "sqlite:///code.sqlite"


def test_unknown_keys_of_a_file_are_named(caplog: pytest.LogCaptureFixture) -> None:
    file = parse_config_file("name: orders\ncolour: red\nruntimeConfig: {stat: [x]}\n", {})
    with caplog.at_level(logging.WARNING, "dbos"):
        load_settings({"shape": 1}, {}, file=file)
    assert "colour, runtimeConfig.stat, shape" in caplog.text


def test_a_wrong_type_in_a_file_is_explained() -> None:
    with pytest.raises(DBOSInitializationError, match="sys_db_pool_size: expected a value of type int, got 'many'"):
        load_settings({}, {}, file=parse_config_file("name: orders\nsys_db_pool_size: many\n", {}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", "dbos-config.yaml: expected YAML"),
        ("- name", "dbos-config.yaml: expected keys and values"),
        ("runtimeConfig: [x]", "runtimeConfig: expected keys and values"),
        ("runtimeConfig: {start: {a: b}}", "runtimeConfig.start: expected a list of commands"),
        ("runtimeConfig: {start: [1]}", "runtimeConfig.start: expected a list of commands"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_named(text: str, told: str) -> None:
    with pytest.raises(DBOSInitializationError, match=told):
        parse_config_file(text, {})


def test_no_file_and_an_empty_file_say_nothing(tmp_path: Path) -> None:
    assert read_config_file(tmp_path, {}) == ConfigFile()
    assert parse_config_file("", {}) == ConfigFile()


def test_without_a_name_in_code_or_file_it_is_asked_for() -> None:
    with pytest.raises(DBOSInitializationError, match=r"name: expected .* in the configuration or dbos-config\.yaml"):
        load_settings({}, {})
