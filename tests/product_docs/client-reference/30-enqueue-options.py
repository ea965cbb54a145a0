from typing import TypedDict

class EnqueueOptions(TypedDict, total=False):
    # Required fields
    workflow_name: str
    queue_name: str

    # Optional fields
    workflow_id: str
    app_version: str
    workflow_timeout: float
    deduplication_id: str
    priority: int
    max_recovery_attempts: int
    queue_partition_key: str
    authenticated_user: str
    authenticated_roles: list[str]
    serialization_type: WorkflowSerializationFormat
    class_name: str
    instance_name: str
