# Get all steps for a workflow
steps = client.list_workflow_steps("workflow-123")
for step in steps:
    print(f"Function ID: {step.function_id}")
    print(f"Name: {step.name}")
    print(f"Started: {step.started_at}")
    print(f"Completed: {step.completed_at}")
    print(f"Duration: {(step.completed_at - step.started_at).total_seconds()}s")
    print(f"Output: {step.output}")
    print(f"Error: {step.error}")
    print()
