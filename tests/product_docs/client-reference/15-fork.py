handle = client.fork_workflow(workflow_id, start_step, application_version=None)
