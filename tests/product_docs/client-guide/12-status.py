status = client.retrieve_workflow("workflow-123").get_status()
# Basic info
print(f"Workflow ID: {status.workflow_id}")
print(f"Name: {status.name}")
print(f"Status: {status.status}")
print(f"Class: {status.class_name}") # For class-based workflows
# Timing
print(f"Created: {status.created_at}")
print(f"Updated: {status.updated_at}")
print(f"Dequeued: {status.dequeued_at}") # For queued workflows
# Relationships
print(f"Parent: {status.parent_workflow_id}")
print(f"Forked From: {status.forked_from}")
# Queue info
print(f"Queue: {status.queue_name}")
print(f"Priority: {status.priority}")
print(f"Partition Key: {status.queue_partition_key}")
# Authentication
print(f"User: {status.authenticated_user}")
print(f"Roles: {status.authenticated_roles}")
# Data
print(f"Input: {status.input}") # Workflow arguments
print(f"Output: {status.output}") # Workflow result
print(f"Error: {status.error}") # Error message if failed
# Recovery
print(f"Recovery Attempts: {status.recovery_attempts}")
print(f"App Version: {status.app_version}")
print(f"Executor: {status.executor_id}")
