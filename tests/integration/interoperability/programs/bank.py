"""A datasource and a workflow over it; both runtimes run it. KILLED ends the process at an event of a session."""

from __future__ import annotations

import os
import signal
import sys

from sqlalchemy import event, text
from sqlalchemy.orm import Session

from dbos import DBOS, SetWorkflowID, SQLAlchemyDatasource

DBOS(
    config={
        "name": "bank",
        "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"],
        "application_version": "v1",
        "executor_id": "one",
    }
)
books = SQLAlchemyDatasource.create(os.environ["USER_URL"])


@books.transaction(name="book", isolation_level="READ COMMITTED")
def book(cents: int) -> int:
    """Books an amount."""
    books.sql_session().execute(text("INSERT INTO bookings (cents) VALUES (:cents)"), {"cents": cents})
    if cents < 0:
        raise ValueError("no debts")
    return cents


@DBOS.workflow(name="transfer")
def transfer(cents: int) -> list[object]:
    """Books once, fails once, and tells what it saw."""
    seen: list[object] = [book(cents), books.run_tx_step({"name": "again"}, len, "abc")]
    try:
        book(-cents)
    except ValueError as error:
        seen.append(str(error))
    return seen


DBOS.launch()
if "KILLED" in os.environ:
    event.listen(Session, "after_commit", lambda _session: os.kill(os.getpid(), signal.SIGKILL))
with SetWorkflowID(sys.argv[1]):
    handle = DBOS.start_workflow(transfer, 500)
assert handle.get_result() == [500, 3, "no debts"], handle.get_result()
DBOS.destroy()
