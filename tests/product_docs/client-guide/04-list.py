# List all workflows
all_workflows = client.list_workflows()
for wf in all_workflows:
    print(f"ID: {wf.workflow_id}")
    print(f"Name: {wf.name}")
    print(f"Status: {wf.status}")
    print(f"Created: {wf.created_at}")
    print()
# Filter by status
pending = client.list_workflows(status="PENDING")
success = client.list_workflows(status="SUCCESS")
errors = client.list_workflows(status="ERROR")
# Multiple statuses
active = client.list_workflows(status=["PENDING", "ENQUEUED"])
