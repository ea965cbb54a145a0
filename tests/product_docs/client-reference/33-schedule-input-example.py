from dbos import DBOS
from datetime import datetime
from typing import Any

@DBOS.workflow()
def my_scheduled_task(scheduled_time: datetime, context: Any) -> None:
    print(f"Running at {scheduled_time} with context {context}")

# Internal usage (via DBOS class)
schedule_input: ScheduleInput = {
    "schedule_name": "hourly_task",
    "workflow_fn": my_scheduled_task,
    "schedule": "0 0 * * * *",  # Every hour
    "context": {"key": "value"}
}
