from typing import TypedDict, Callable, Any
from datetime import datetime

class ScheduleInput(TypedDict):
    # Unique schedule name
    schedule_name: str
    # Workflow function to execute
    workflow_fn: Callable[[datetime, Any], None]
    # Cron expression
    schedule: str
    # Context passed to each execution
    context: Any
