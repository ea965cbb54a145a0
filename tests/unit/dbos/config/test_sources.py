"""Settings from the configuration in code, then the environment, then defaults."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from sqlalchemy import create_engine

from dbos._error import DBOSInitializationError
from dbos.config.sources import load_settings
from dbos.config.vendor import VENDOR_KEYS


def test_a_name_is_enough_and_the_rest_has_defaults() -> None:
    settings = load_settings({"name": "orders"}, {})
    assert (settings.name, settings.executor_id, settings.application_version) == ("orders", "local", None)
    assert (settings.application_id, settings.logs.level, settings.max_executor_threads) == ("", "INFO", None)
    assert (settings.metrics.ports, settings.metrics.host) == (None, "0.0.0.0")
    database = settings.database
    assert (database.url, database.engine, database.schema, database.pool_size) == (None, None, "dbos", 20)
    assert (database.engine_options, database.use_listen_notify) == ({}, True)


def test_code_wins_over_the_environment() -> None:
    environment = {
        "DBOS__VMID": "pod",
        "DBOS__APPVERSION": "v-env",
        "DBOS__APPID": "app",
        "DBOS_METRICS_PORT": "9000",
        "DBOS_METRICS_HOST": "127.0.0.1",
    }
    given = {
        "name": "orders",
        "executor_id": "mine",
        "application_version": "v-code",
        "metrics_port": 0,
        "metrics_host": "::1",
    }
    coded = load_settings(given, environment)
    assert (coded.executor_id, coded.application_version, coded.application_id) == ("mine", "v-code", "app")
    assert (coded.metrics.ports, coded.metrics.host) == (range(1), "::1")
    left = load_settings({"name": "orders"}, environment)
    assert (left.executor_id, left.application_version) == ("pod", "v-env")
    assert (left.metrics.ports, left.metrics.host) == (range(9000, 9001), "127.0.0.1")


def test_empty_variables_count_as_absent() -> None:
    settings = load_settings(
        {"name": "orders"}, {"DBOS__VMID": "", "DBOS__APPVERSION": "", "DBOS_METRICS_PORT": "", "DBOS_METRICS_HOST": ""}
    )
    assert (settings.executor_id, settings.application_version, settings.metrics.ports) == ("local", None, None)
    assert settings.metrics.host == "0.0.0.0"


def test_a_database_is_filled_in_only_where_none_is_named() -> None:
    assert load_settings({"name": "orders"}, {}, database_url="postgresql:///x").database.url == "postgresql:///x"
    named = load_settings(
        {"name": "orders", "system_database_url": "postgresql:///y"}, {}, database_url="postgresql:///x"
    )
    assert named.database.url == "postgresql:///y"


def test_every_setting_of_the_database_is_taken() -> None:
    engine = create_engine("postgresql+psycopg:///x")
    given = {
        "name": "orders",
        "system_database_engine": engine,
        "dbos_system_schema": "own",
        "sys_db_pool_size": 7,
        "db_engine_kwargs": {"pool_timeout": 3},
        "use_listen_notify": False,
        "notification_listener_polling_interval_sec": 0.25,
        "notification_coalesce_sec": 1,
        "max_executor_threads": 4,
        "log_level": "debug",
    }
    settings = load_settings(given, {})
    database = settings.database
    assert (database.engine, database.schema, database.pool_size) == (engine, "own", 7)
    assert (database.engine_options, database.use_listen_notify) == ({"pool_timeout": 3}, False)
    assert (settings.max_executor_threads, settings.logs.level) == (4, "DEBUG")
    assert (settings.notifications.polling_seconds, settings.notifications.coalesce_seconds) == (0.25, 1.0)


def test_unknown_keys_are_named_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "dbos"):
        load_settings({"name": "orders", "zebra": 1, "apple": 2}, {})
    assert "apple, zebra" in caplog.text


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "name: expected the application's name"),
        ({"name": None}, "name: expected the application's name"),
        ({"name": 5}, "name: expected a value of type str, got 5"),
        ({"name": "ab"}, "name: expected 3 to 256 characters of a-z, 0-9, - and _, got 'ab'"),
        ({"name": "Orders"}, "name: expected"),
        ({"name": "a" * 257}, "name: expected"),
        ({"executor_id": " "}, "executor_id: expected text that is not blank"),
        ({"executor_id": 7}, "executor_id: expected a value of type str"),
        ({"log_level": "LOUD"}, "log_level: expected one of DEBUG, INFO"),
        ({"sys_db_pool_size": "20"}, "sys_db_pool_size: expected a value of type int"),
        ({"sys_db_pool_size": True}, "sys_db_pool_size: expected a value of type int"),
        ({"sys_db_pool_size": 3}, "sys_db_pool_size: expected at least 4"),
        ({"dbos_system_schema": ""}, None),
        ({"dbos_system_schema": " "}, "dbos_system_schema: expected the name of a schema"),
        ({"db_engine_kwargs": []}, None),
        ({"db_engine_kwargs": [1]}, "db_engine_kwargs: expected a value of type dict"),
        ({"use_listen_notify": "no"}, "use_listen_notify: expected a value of type bool"),
        ({"notification_coalesce_sec": 0}, "notification_coalesce_sec: expected at least 0.001 seconds, got 0"),
        ({"notification_listener_polling_interval_sec": -1.0}, "notification_listener_polling_interval_sec: expected"),
        ({"notification_coalesce_sec": "1"}, "notification_coalesce_sec: expected a number of seconds, got '1'"),
        ({"notification_coalesce_sec": True}, "notification_coalesce_sec: expected a number of seconds, got True"),
        ({"max_executor_threads": 0}, "max_executor_threads: expected at least 1, or None"),
        ({"system_database_engine": "postgresql:///x"}, "system_database_engine: expected an Engine of SQLAlchemy"),
        ({"system_database_url": 5}, "system_database_url: expected a value of type str"),
        ({"metrics_port": 65536}, "metrics_port: expected a port from 0 to 65535"),
        ({"metrics_port": -1}, "metrics_port: expected a port"),
        ({"sys_db_polling_concurrency": 0}, "sys_db_polling_concurrency: expected at least 1, got 0"),
        ({"sys_db_polling_concurrency": 1.5}, "sys_db_polling_concurrency: expected a value of type int"),
        ({"sys_db_idle_transaction_timeout_sec": "1"}, "sys_db_idle_transaction_timeout_sec: expected a number of sec"),
        ({"run_migrations": "no"}, "run_migrations: expected a value of type bool"),
        ({"sharding": True}, "sharding: expected False: sharded system databases are not supported, got True"),
    ],
)
def test_settings_that_cannot_be_are_named_with_what_was_expected(config: dict[str, Any], said: str | None) -> None:
    whole = config if not config or "name" in config else {"name": "orders", **config}
    if said is None:
        said = f"{next(iter(config))}: expected"
    with pytest.raises(DBOSInitializationError, match=said):
        load_settings(whole, {})


@pytest.mark.parametrize("config", [None, "orders", 5])
def test_a_configuration_is_a_dictionary(config: Any) -> None:
    with pytest.raises(DBOSInitializationError, match="config: expected a DBOSConfig dictionary"):
        load_settings(config, {})


@pytest.mark.parametrize("given", ["9464-9466", " 9464 - 9466 "])
def test_several_ports_may_be_named(given: str) -> None:
    assert load_settings({"name": "orders", "metrics_port": given}, {}).metrics.ports == range(9464, 9467)
    assert load_settings({"name": "orders"}, {"DBOS_METRICS_PORT": given}).metrics.ports == range(9464, 9467)


@pytest.mark.parametrize("given", ["9466-9464", "0-5", "9464-", "1-65535", "9464-70000", True, 1.5, [9464]])
def test_ports_that_cannot_be_are_named(given: Any) -> None:
    with pytest.raises(DBOSInitializationError, match="metrics_port: expected a port from 0 to 65535, or the first"):
        load_settings({"name": "orders", "metrics_port": given}, {})


@pytest.mark.parametrize("port", ["http", "1.5", "70000", "-1"])
def test_a_port_of_the_environment_that_cannot_be_is_named(port: str) -> None:
    with pytest.raises(DBOSInitializationError, match=f"DBOS_METRICS_PORT: expected a port .* got '{port}"):
        load_settings({"name": "orders"}, {"DBOS_METRICS_PORT": port})


def test_settings_of_connections_are_taken() -> None:
    given = {"sys_db_polling_concurrency": 3, "sys_db_idle_transaction_timeout_sec": 0, "run_migrations": False}
    database = load_settings({"name": "orders", **given}, {}).database
    assert (database.polling_concurrency, database.idle_transaction_seconds, database.create) == (3, 0.0, False)
    left = load_settings({"name": "orders"}, {}).database
    assert (left.polling_concurrency, left.idle_transaction_seconds, left.create) == (None, 60.0, True)


def test_keys_of_other_products_are_named_and_do_nothing(caplog: pytest.LogCaptureFixture) -> None:
    given = {"conductor_key": "secret", "conductor_url": "wss://host", "auto_upgrade": True, "sharding": False}
    with caplog.at_level(logging.WARNING, "dbos"):
        load_settings({"name": "orders", **given}, {})
        load_settings({"name": "orders", **dict.fromkeys(VENDOR_KEYS)}, {})
    (warning,) = caplog.messages
    assert warning.startswith("auto_upgrade, conductor_key, conductor_url: of DBOS Conductor and dbos-enterprise")
    assert "secret" not in warning
