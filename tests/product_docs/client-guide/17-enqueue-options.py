from dbos import EnqueueOptions, WorkflowSerializationFormat
handle = client.enqueue(
    EnqueueOptions(
        workflow_name="process_data",
        queue_name="data-processing",
        workflow_id="data-proc-456",
        app_version="v1.2.3",
        workflow_timeout=3600.0, # 1 hour timeout
        deduplication_id="dedup-123",
        priority=50,
        max_recovery_attempts=10,
        queue_partition_key="partition-a",
        authenticated_user="[email protected]",
        authenticated_roles=["admin", "operator"],
        serialization_type=WorkflowSerializationFormat.JSON,
        class_name="DataProcessor", # For class-based workflows
        instance_name="prod-instance" # For configured instances
    ),
    {"data": "value"}
)
