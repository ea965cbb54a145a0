"""The application that the documentation's clients talk to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from dbos import DBOS, DBOSClient, DBOSConfiguredInstance, DBOSContextSetAuth, Queue, SetWorkflowID
from support.bystander import Bystander, bystander

VERSION = "v1.2.3"
USER = "[email protected]"
QUEUES = ("orders", "emails", "payments", "data-processing")


class Shop:
    """A launched application with the workflows that the blocks name, a client and a bystander."""

    def __init__(self, url: str, client: DBOSClient, sql: Bystander) -> None:
        self.url = url
        self.client = client
        self.sql = sql
        self._jobs: dict[str, Callable[[], Any]] = {}
        self._declare()

    def clear(self) -> None:
        """Forget every workflow and schedule."""
        for schedule in DBOS.list_schedules():
            DBOS.delete_schedule(schedule["schedule_name"])
        ids = [status.workflow_id for status in DBOS.list_workflows()]
        if ids:
            DBOS.delete_workflows(ids)

    def start(self, job: Callable[[], Any], workflow_id: str = "workflow-123") -> Any:
        """Start a workflow that runs a function; its handle."""
        self._jobs[workflow_id] = job
        with SetWorkflowID(workflow_id):
            return DBOS.start_workflow(self._job, workflow_id)

    def blocked(self, workflow_id: str = "workflow-123") -> threading.Event:
        """Start a workflow that ends with its ID once the event is set."""
        released = threading.Event()

        def wait() -> str:
            assert released.wait(60)
            return workflow_id

        self.start(wait, workflow_id)
        return released

    def run(self, name: str, *args: Any, workflow_id: str | None = None, user: str | None = None) -> str:
        """Run one of the named workflows to its end; its ID."""
        with DBOSContextSetAuth(user, []), _named(workflow_id):
            handle = DBOS.start_workflow(self.workflows[name], *args)
        while handle.get_status().status in {"PENDING", "ENQUEUED"}:
            try:
                handle.get_result()
            except ValueError:
                break
        return handle.workflow_id

    def _declare(self) -> None:
        @DBOS.workflow(name="process_order")
        def process_order(order_id: str, customer_id: str | None = None, items: Any = None) -> Any:
            return [order_id, customer_id, items]

        @DBOS.workflow(name="send_notification")
        def send_notification(to: str) -> str:
            return to

        @DBOS.workflow(name="process_payment")
        def process_payment(payment_amount: float) -> float:
            if payment_amount < 0:
                raise ValueError("a negative payment")
            return payment_amount

        @DBOS.workflow(name="send_email")
        def send_email(to: str, subject: str, body: str) -> str:
            return f"{subject} for {to}: {body}"

        @DBOS.workflow(name="backup_database")
        def backup_database(scheduled: datetime, context: Any) -> None:
            return None

        @DBOS.workflow(name="job")
        def job(name: str) -> Any:
            return self._jobs[name]()

        @DBOS.dbos_class(class_name="DataProcessor")
        class DataProcessor(DBOSConfiguredInstance):
            @DBOS.workflow(name="process_data")
            def process_data(self, data: dict[str, str]) -> dict[str, Any]:
                return {**data, "by": self.config_name, "user": DBOS.authenticated_user}

        self.processor = DataProcessor("prod-instance")
        self.workflows: dict[str, Callable[..., Any]] = {
            "process_order": process_order,
            "send_notification": send_notification,
            "process_payment": process_payment,
            "send_email": send_email,
            "backup_database": backup_database,
        }
        self._job = job


@contextmanager
def _named(workflow_id: str | None) -> Iterator[None]:
    if workflow_id is None:
        yield
        return
    with SetWorkflowID(workflow_id):
        yield


@contextmanager
def open_shop(url: str, *, version: str = VERSION, **config: Any) -> Iterator[Shop]:
    """A launched shop on a database."""
    given = {"name": "shop", "system_database_url": url, "application_version": version, "executor_id": "one"}
    DBOS(config={**given, "run_admin_server": False, "log_level": "WARNING", **config})  # type: ignore[typeddict-item]
    for queue in QUEUES:
        Queue(queue)
    try:
        with DBOSClient(system_database_url=url) as client, bystander(url) as sql:
            shop = Shop(url, client, sql)
            DBOS.launch()
            yield shop
    finally:
        DBOS.destroy(destroy_registry=True)
