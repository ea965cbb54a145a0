queue = Queue("partitioned_queue", partition_queue=True, concurrency=1)
@DBOS.workflow()
def process_task(task: Task):
    ...
def on_user_task_submission(user_id: str, task: Task):
    # Partition the task queue by user ID. As the queue has a
    # maximum concurrency of 1, this means that at most one
    # task can run at once per user (but tasks from different
    # users can run concurrently).
    with SetEnqueueOptions(queue_partition_key=user_id):
        queue.enqueue(process_task, task)
