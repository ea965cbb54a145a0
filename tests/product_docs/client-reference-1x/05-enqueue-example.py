options: EnqueueOptions = {
    "queue_name": "process_task",
    "workflow_name": "example_queue",
}
handle = client.enqueue(options, task)
result = handle.get_result()
