from dbos import DBOS, Queue, SetEnqueueOptions
from dbos import error as dboserror
queue = Queue("example_queue")
with SetEnqueueOptions(deduplication_id="my_dedup_id"):
    try:
        handle = queue.enqueue(example_workflow, ...)
    except dboserror.DBOSQueueDeduplicatedError as e:
        # Handle deduplication error
