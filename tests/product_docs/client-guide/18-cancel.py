# Cancel a workflow
client.cancel_workflow("workflow-123")
# Verify cancellation
status = client.retrieve_workflow("workflow-123").get_status()
print(status.status) # "CANCELLED"
# Async version
await client.cancel_workflow_async("workflow-123")
