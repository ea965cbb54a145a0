options: EnqueueOptions = {
    "queue_name": "process_task",
    "workflow_name": "example_queue",
}
handle = await client.enqueue_async(options, task)
result = await handle.get_result()
