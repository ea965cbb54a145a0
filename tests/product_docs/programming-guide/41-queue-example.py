from dbos import DBOS, Queue
queue = Queue("example_queue")
@DBOS.workflow()
def process_task(task):
    ...
@DBOS.workflow()
def process_tasks(tasks):
    task_handles = []
    # Enqueue each task so all tasks are processed concurrently.
    for task in tasks:
        handle = queue.enqueue(process_task, task)
        task_handles.append(handle)
    # Wait for each task to complete and retrieve its result.
    # Return the results of all tasks.
    return [handle.get_result() for handle in task_handles]
