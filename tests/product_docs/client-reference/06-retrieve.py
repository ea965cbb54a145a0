handle = client.retrieve_workflow(workflow_id)
