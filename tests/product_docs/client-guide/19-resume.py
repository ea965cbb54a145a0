# Resume a cancelled workflow
handle = client.resume_workflow("workflow-123")
# Wait for completion
result = handle.get_result()
# Async version
handle = await client.resume_workflow_async("workflow-123")
result = await handle.get_result()
