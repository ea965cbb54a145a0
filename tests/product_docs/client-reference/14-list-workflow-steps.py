steps = client.list_workflow_steps(workflow_id)
