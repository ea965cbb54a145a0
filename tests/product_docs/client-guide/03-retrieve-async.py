import asyncio
async def retrieve_and_wait():
    handle = await client.retrieve_workflow_async("workflow-123")
    result = await handle.get_result()
    return result
result = asyncio.run(retrieve_and_wait())
