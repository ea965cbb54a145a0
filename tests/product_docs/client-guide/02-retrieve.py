# Retrieve existing workflow
handle = client.retrieve_workflow("workflow-123")
# Get workflow status
status = handle.get_status()
print(f"Status: {status.status}") # PENDING, SUCCESS, ERROR, etc.
print(f"Created: {status.created_at}")
print(f"Updated: {status.updated_at}")
# Wait for completion and get result
if status.status in ["PENDING", "ENQUEUED"]:
    result = handle.get_result()
    print(f"Result: {result}")
