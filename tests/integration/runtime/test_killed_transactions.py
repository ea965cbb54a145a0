"""A process that is killed around the commit of a transaction: nothing is lost, nothing is doubled."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from support.bystander import Bystander, bystander
from support.worker_process import WorkerProcess

pytestmark = [pytest.mark.both_databases, pytest.mark.timeout(300)]  # two processes in a row

COMMON = """
import asyncio, os, signal
from sqlalchemy import event, text
from sqlalchemy.orm import Session
from dbos import DBOS, AsyncSQLAlchemyDatasource, SetWorkflowID, SQLAlchemyDatasource

url = os.environ["USER_URL"]
DBOS(config={"name": "bank", "system_database_url": os.environ["SYSTEM_URL"], "application_database_url": url,
             "application_version": "v1", "executor_id": "one", "run_admin_server": False})
moment = os.environ.get("KILLED")
if moment:
    event.listen(Session, moment, lambda session: os.kill(os.getpid(), signal.SIGKILL))
INSERT = text("INSERT INTO bookings (cents) VALUES (500)")
"""
START = """
DBOS.launch()
with SetWorkflowID("w1"):
    print("result:", DBOS.start_workflow(transfer).get_result())
DBOS.destroy()
"""
PROGRAMS = {
    "datasource": """
books = SQLAlchemyDatasource.create(url)

@books.transaction()
def book():
    books.sql_session().execute(INSERT)
    return "booked"

@DBOS.workflow(name="transfer")
def transfer():
    return book()
""",
    "async datasource": """
books = asyncio.run(AsyncSQLAlchemyDatasource.create(url))

@books.transaction()
async def book():
    await books.sql_session().execute(INSERT)
    return "booked"

@DBOS.workflow(name="transfer")
async def transfer():
    return await book()
""",
    "decorator": """
@DBOS.transaction()
def book():
    DBOS.sql_session.execute(INSERT)
    return "booked"

@DBOS.workflow(name="transfer")
def transfer():
    return book()
""",
}


@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_change_is_made_once(
    program: str, moment: str, database_url: str, user_url: str, sql: Bystander, tmp_path: Path
) -> None:
    with bystander(user_url) as user:
        user.execute("CREATE TABLE bookings (cents int NOT NULL)")
    text, environment = COMMON + PROGRAMS[program] + START, {"SYSTEM_URL": database_url, "USER_URL": user_url}

    with WorkerProcess(tmp_path, text, environment={**environment, "KILLED": moment}, as_script=True) as killed:
        assert killed.ended(within=60) == -signal.SIGKILL, killed.said
    assert sql.execute("SELECT 1 AS one FROM dbos.operation_outputs").fetchall() == []
    assert _bookings(user_url) == (1 if moment == "after_commit" else 0)

    with WorkerProcess(tmp_path, text, environment=environment, as_script=True) as successor:
        successor.wait_for("result: booked", within=60)
        assert successor.ended() == 0, successor.said
    assert _bookings(user_url) == 1
    rows = sql.execute("SELECT workflow_uuid, function_id FROM dbos.operation_outputs").fetchall()
    assert rows == [{"workflow_uuid": "w1", "function_id": 1}]


def _bookings(url: str) -> int:
    with bystander(url) as user:
        return len(user.execute("SELECT cents FROM bookings").fetchall())
