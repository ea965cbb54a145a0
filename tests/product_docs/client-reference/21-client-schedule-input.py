from typing import TypedDict, Optional, Any

class ClientScheduleInput(TypedDict, total=False):
    # Human-readable schedule name (required)
    schedule_name: str
    # Workflow function name to execute (required)
    workflow_name: str
    # Class name for static method workflows
    workflow_class_name: Optional[str]
    # Cron expression defining the schedule (required)
    schedule: str
    # Context object passed to each execution
    context: Any
