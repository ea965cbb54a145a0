handle = await client.retrieve_workflow_async(workflow_id)
