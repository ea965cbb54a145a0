from typing import TypedDict, Optional, Any

class WorkflowSchedule(TypedDict):
    # Unique schedule identifier
    schedule_id: str
    # Human-readable schedule name
    schedule_name: str
    # Workflow function name to execute
    workflow_name: str
    # Class name for static method workflows
    workflow_class_name: Optional[str]
    # Cron expression defining the schedule
    schedule: str
    # Current status (e.g., "ACTIVE", "PAUSED")
    status: str
    # Context object passed to each execution
    context: Any
