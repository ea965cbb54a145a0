client.cancel_workflow(workflow_id)
