"""An application with workflows that schedules and debouncers start; both runtimes serve it."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from board import note

from dbos import DBOS

DBOS(
    config={
        "name": os.environ["APP"],
        "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"],
        "application_version": "v1",
        "scheduler_polling_interval_sec": 1,
    }
)


@DBOS.workflow(name="tick")
def tick(moment: datetime, context: Any) -> list[Any]:
    """Tells each time it runs."""
    note(DBOS.workflow_id, os.environ["KIND"])
    return [moment.isoformat(), context]


@DBOS.workflow(name="process")
def process(value: int) -> int:
    """Gives back its argument."""
    return value
