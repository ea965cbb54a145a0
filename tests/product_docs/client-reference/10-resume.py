handle = client.resume_workflow(workflow_id)
