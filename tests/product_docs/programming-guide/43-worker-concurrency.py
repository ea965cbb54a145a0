from dbos import Queue
queue = Queue("example_queue", worker_concurrency=5)
