@DBOS.workflow()
def example_workflow():
    ...
queue = Queue("example-queue")
# If the workflow does not complete within 10 seconds after being dequeued, it times out and is cancelled
with SetWorkflowTimeout(10):
    queue.enqueue(example_workflow)
