"""Workflows that are methods: of configured instances, of classes, static."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, DBOSConfiguredInstance, SetWorkflowID
from dbos.error import DBOSException
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.waiting import eventually

pytestmark = pytest.mark.both_databases

Sql = Bystander


class Shop:
    """A class with one workflow of each kind, and an instance."""

    def __init__(self) -> None:
        @DBOS.dbos_class("Renamed")
        class Till(DBOSConfiguredInstance):
            def __init__(self, place: str) -> None:
                self.place = place
                super().__init__(config_name=place)

            @DBOS.workflow(name="sell")
            def sell(self, item: str) -> str:
                return self.print_receipt(item)

            @DBOS.step(name="print_receipt")
            def print_receipt(self, item: str) -> str:
                return f"{item} at {self.place}"

            @DBOS.workflow(name="sell_later")
            async def sell_later(self, item: str) -> str:
                await asyncio.sleep(0)
                return f"{item} at {self.place}"

            @classmethod
            @DBOS.workflow(name="count")
            def count(cls, number: int) -> str:
                return f"{cls.__name__} {number}"

            @staticmethod
            @DBOS.workflow(name="add")
            def add(one: int, two: int) -> int:
                return one + two

        self.till_class = Till
        self.till = Till("door")


@pytest.fixture
def shop(launch: Launch) -> Shop:
    """The class, declared before launch."""
    shop = Shop()
    launch()
    return shop


def _named(sql: Sql, workflow_id: str) -> tuple[Any, ...]:
    row = sql.execute(
        "SELECT name, class_name, config_name FROM dbos.workflow_status WHERE workflow_uuid = %s", [workflow_id]
    ).fetchone()
    assert row is not None
    return row["name"], row["class_name"], row["config_name"]


CALLS: dict[str, tuple[tuple[Any, ...], object, tuple[Any, ...]]] = {
    "sell": (("tea",), "tea at door", ("sell", "Renamed", "door")),
    "print_receipt": (("tea",), "tea at door", ("<temp>.print_receipt", "Renamed", "door")),
    "sell_later": (("tea",), "tea at door", ("sell_later", "Renamed", "door")),
    "count": ((3,), "Till 3", ("count", "Renamed", None)),
    "add": ((1, 2), 3, ("add", None, None)),
}


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("how", ["start", "enqueue"])
def test_a_method_is_started_and_enqueued_like_a_function(shop: Shop, sql: Sql, method: str, how: str) -> None:
    arguments, result, row = CALLS[method]
    function = getattr(shop.till, method)
    DBOS.register_queue("tills")

    with SetWorkflowID(f"{how}-{method}"):
        if how == "start":
            handle = DBOS.start_workflow(function, *arguments)
        else:
            handle = DBOS.enqueue_workflow("tills", function, *arguments)

    assert handle.get_result() == result
    assert _named(sql, handle.workflow_id) == row
    status = handle.get_status()
    assert status.input is not None
    assert status.input["args"] == arguments


def test_a_method_is_called_like_a_function(shop: Shop) -> None:
    assert shop.till.sell("tea") == "tea at door"
    assert shop.till_class.count(2) == "Till 2"
    assert shop.till.add(1, 1) == 2
    assert asyncio.run(shop.till.sell_later("milk")) == "milk at door"


def test_a_client_enqueues_a_method_by_the_names_of_its_class_and_instance(shop: Shop, client: DBOSClient) -> None:
    DBOS.register_queue("tills")
    handle = client.enqueue(
        {"workflow_name": "sell", "queue_name": "tills", "class_name": "Renamed", "instance_name": "door"}, "cake"
    )

    assert handle.get_result() == "cake at door"


def test_a_run_of_an_instance_that_is_not_here_waits_for_a_process_that_has_it(shop: Shop, client: DBOSClient) -> None:
    DBOS.register_queue("tills")
    handle = client.enqueue(
        {"workflow_name": "sell", "queue_name": "tills", "class_name": "Renamed", "instance_name": "cellar"}, "wine"
    )
    assert client.enqueue({"workflow_name": "add", "queue_name": "tills"}, 1, 2).get_result() == 3

    # Both may have been claimed at once; then it is put back while the other one runs already.
    put_back = eventually(handle.get_status, lambda told: told.status == "ENQUEUED", what="run that was put back")
    assert put_back.recovery_attempts == 0


def test_two_instances_of_one_name_are_refused(shop: Shop) -> None:
    with pytest.raises(DBOSException, match=r"'Renamed' is already configured as 'door'"):
        shop.till_class("door")


def test_an_instance_made_after_launch_works_and_is_warned_about(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="dbos"):
        late = shop.till_class("late")
    assert "after DBOS.launch()" in caplog.text
    assert late.sell("bread") == "bread at late"


def test_a_workflow_of_an_instance_without_a_name_is_refused(launch: Launch) -> None:
    @DBOS.dbos_class()
    class Nameless:
        @DBOS.workflow(name="nameless")
        def work(self) -> None: ...

    launch()

    with pytest.raises(DBOSException, match="DBOSConfiguredInstance"):
        Nameless().work()


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_a_name_that_cannot_be_is_refused(launch: Launch, name: Any) -> None:
    class Named(DBOSConfiguredInstance):
        pass

    with pytest.raises((TypeError, ValueError), match="config_name"):
        Named(name)
