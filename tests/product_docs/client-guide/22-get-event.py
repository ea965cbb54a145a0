# Get an event (blocks until available or timeout)
event_value = client.get_event(
    workflow_id="workflow-123",
    key="deployment_started",
    timeout_seconds=60
)
print(f"Event value: {event_value}")
# Async version
event_value = await client.get_event_async(
    workflow_id="workflow-123",
    key="processing_complete",
    timeout_seconds=30
)
