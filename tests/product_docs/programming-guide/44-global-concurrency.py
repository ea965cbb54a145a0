from dbos import Queue
queue = Queue("example_queue", concurrency=10)
