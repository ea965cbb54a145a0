"""What `from dbos import …` gives, and that each call and its async twin take the same."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from typing import Any, get_type_hints

import pytest

import dbos
from dbos import DBOS, DBOSClient, DBOSConfig, Queue, WorkflowHandle, WorkflowHandleAsync
from dbos.core.statuses import WorkflowStatusString


@pytest.mark.parametrize("name", dbos.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(dbos, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = dbos.Nothing
    with pytest.raises(ImportError):
        exec("from dbos import Nothing")


def test_errors_come_from_the_package_and_from_the_module() -> None:
    assert dbos.error is importlib.import_module("dbos.error")
    assert dbos.error.DBOSException.__module__ == "dbos._error"


def test_classes_in_pickles_live_where_other_releases_look_for_them() -> None:
    assert dbos.WorkflowStatus.__module__ == "dbos._sys_db"


def test_importing_the_package_loads_no_driver() -> None:
    heavy = ("psycopg", "sqlalchemy", "prometheus_client", "click")
    code = f"import sys, dbos; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def _reads_a_property(owner: type, name: str) -> bool:
    return isinstance(getattr(owner, name.removeprefix("get_").removesuffix("_async"), None), property)


def test_importing_the_runtime_loads_nothing_that_only_some_processes_use() -> None:
    text = "import sys; from dbos import DBOS, DBOSClient; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout.split()
    assert "psycopg" in loaded
    assert not {"sqlalchemy", "yaml", "croniter", "prometheus_client", "opentelemetry"} & set(loaded)


def test_the_types_can_be_read_while_a_program_runs() -> None:
    assert "system_database_engine" in get_type_hints(DBOSConfig)
    assert "system_database_engine" in get_type_hints(DBOSClient.__init__)


def _twins(owner: type) -> list[tuple[str, Any, Any]]:
    return [
        (name.removesuffix("_async"), getattr(owner, name.removesuffix("_async")), getattr(owner, name))
        for name in dir(owner)
        if name.endswith("_async") and not name.startswith("_") and not _reads_a_property(owner, name)
    ]


@pytest.mark.parametrize("owner", [DBOS, DBOSClient, Queue])
def test_async_twins_take_the_same_and_are_coroutines(owner: type) -> None:
    twins = _twins(owner)
    assert twins
    for name, call, twin in twins:
        assert inspect.iscoroutinefunction(twin) or "AsyncGenerator" in str(inspect.signature(twin)), name
        plain, coroutine = inspect.signature(call).parameters, inspect.signature(twin).parameters
        assert [(p.name, p.kind, p.default) for p in plain.values()] == [
            (p.name, p.kind, p.default) for p in coroutine.values()
        ], name


def test_the_two_handles_offer_the_same() -> None:
    def public(owner: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(value).parameters)
            for name, value in vars(owner).items()
            if callable(value) and not name.startswith("_")
        }

    assert public(WorkflowHandle) == public(WorkflowHandleAsync)


def test_statuses_are_the_texts_in_the_rows() -> None:
    assert [status.value for status in WorkflowStatusString] == [status.name for status in WorkflowStatusString]
    active = {status.value for status in WorkflowStatusString if status.active}
    assert active == {"PENDING", "ENQUEUED", "DELAYED"}
