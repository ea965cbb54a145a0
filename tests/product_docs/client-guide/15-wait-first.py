# Wait for any one of multiple workflows to complete
handles = [
    client.retrieve_workflow("wf-1"),
    client.retrieve_workflow("wf-2"),
    client.retrieve_workflow("wf-3")
]
# Returns the first handle that completes
completed_handle = client.wait_first(handles)
result = completed_handle.get_result()
print(f"First to complete: {completed_handle.get_workflow_id()}")
# Async version
async def wait_for_first():
    handles = [
        await client.retrieve_workflow_async("wf-1"),
        await client.retrieve_workflow_async("wf-2"),
        await client.retrieve_workflow_async("wf-3")
    ]
    completed = await client.wait_first_async(handles)
    return await completed.get_result()
