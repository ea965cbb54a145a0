from dbos import Queue
queue = Queue("example_queue")
