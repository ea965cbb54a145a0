from fastapi import FastAPI
from dbos import DBOS, Queue
queue = Queue("in_order_queue", concurrency=1)
@DBOS.step()
def process_event(event: str):
    ...
def event_endpoint(event: str):
    queue.enqueue(process_event, event)
