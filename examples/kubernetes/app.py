"""Orders, worked in four short steps each, and a scheduled sweep that finds the ones that are due."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from dbos import DBOS, SetWorkflowID

QUEUE = "orders"

DBOS(config={"name": "orders"})  # DBOS_SYSTEM_DATABASE_URL says where


@DBOS.workflow()
def sweep_orders(scheduled_time: datetime, context: dict[str, Any]) -> list[str]:
    """Enqueue one workflow for each order that is due. Its ID is the order's number, so no order is worked twice."""
    orders = find_due_orders(scheduled_time, context["orders"])
    for order in orders:
        with SetWorkflowID(order):
            DBOS.enqueue_workflow(QUEUE, process_order, order, context["secondsPerStep"])
    DBOS.logger.info("%d orders are due at %s", len(orders), scheduled_time.isoformat())
    return orders


@DBOS.workflow()
def process_order(order: str, seconds_per_step: float) -> dict[str, Any]:
    """Work one order. A worker that dies in the middle repeats one step of it at most.

    The result holds the receipt of each step, in order, and which worker gave it:
    all of them, whoever finished the order, is the proof that nothing was lost.
    """
    receipts = [
        reserve(order, seconds_per_step),
        charge(order, seconds_per_step),
        pack(order, seconds_per_step),
        ship(order, seconds_per_step),
    ]
    return {"order": order, "receipts": receipts}


@DBOS.step()
def find_due_orders(scheduled_time: datetime, count: int) -> list[str]:
    """The numbers of the orders that are due. A shop asks its own database here."""
    return [f"order-{scheduled_time:%Y%m%d-%H%M%S}-{number:03}" for number in range(1, count + 1)]


@DBOS.step()
def reserve(order: str, seconds: float) -> dict[str, str]:
    """Set the goods aside."""
    return _receipt("reserved", order, seconds)


@DBOS.step(retries_allowed=True, max_attempts=5)
def charge(order: str, seconds: float) -> dict[str, str]:
    """Take the money. A real one hands the order's number to the bank, which then ignores a repetition."""
    return _receipt("charged", order, seconds)


@DBOS.step()
def pack(order: str, seconds: float) -> dict[str, str]:
    """Put the goods into a box."""
    return _receipt("packed", order, seconds)


@DBOS.step(retries_allowed=True, max_attempts=5)
def ship(order: str, seconds: float) -> dict[str, str]:
    """Hand the box over."""
    return _receipt("shipped", order, seconds)


def _receipt(done: str, order: str, seconds: float) -> dict[str, str]:
    time.sleep(seconds)  # what the warehouse, the bank and the carrier take
    return {"done": done, "order": order, "worker": DBOS.executor_id}
