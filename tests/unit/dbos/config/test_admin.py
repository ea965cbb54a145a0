"""Whether the admin server runs, and where."""

from __future__ import annotations

from typing import Any

import pytest

from dbos._error import DBOSInitializationError
from dbos.config.sources import load_settings


@pytest.mark.parametrize(
    ("config", "by_default", "port"),
    [
        ({}, True, 3001),
        ({}, False, None),
        ({"run_admin_server": False}, True, None),
        ({"run_admin_server": False, "admin_port": 4000}, True, None),
        ({"run_admin_server": True}, False, 3001),
        ({"admin_port": 4000}, False, 4000),
        ({"admin_port": 0}, True, 0),
    ],
)
def test_it_runs_where_it_is_asked_for_and_by_default_but_in_workers(
    config: dict[str, Any], by_default: bool, port: int | None
) -> None:
    settings = load_settings({"name": "orders", **config}, {}, admin_server=by_default)
    assert settings.admin.port == port


@pytest.mark.parametrize("config", [{"admin_port": 70000}, {"admin_port": "3001"}, {"run_admin_server": 1}])
def test_what_cannot_be_is_named(config: dict[str, Any]) -> None:
    with pytest.raises(DBOSInitializationError, match=next(iter(config))):
        load_settings({"name": "orders", **config}, {})
