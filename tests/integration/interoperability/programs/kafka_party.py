"""Consumes the messages of a test, by either runtime, until all are processed and stdin is closed."""

import os
import sys
import time

from dbos import DBOS

COUNT = int(os.environ["COUNT"])
DBOS(
    config={
        "name": "orders",
        "system_database_url": os.environ["URL"],
        "application_version": "v1",
        "executor_id": "one",
        "log_level": "ERROR",
    }
)


def consumer(topic, **options):
    config = {"bootstrap.servers": os.environ["KAFKA"], "group.protocol": "consumer"}
    return DBOS.kafka_consumer(config, [topic], **options)


@consumer("side-by-side")
@DBOS.workflow()
def side_by_side(message):
    return message


@consumer("by-partition", ordering="partition")
@DBOS.workflow(name="by partition")
def by_partition(message):
    return message.value.decode()


@consumer("by-topic", ordering="topic")
@DBOS.workflow()
async def by_topic(message):
    return message.offset


@consumer("^own-.*", queue_name="mine")
@DBOS.step()
def on_own_queue(message):
    return message.key


DBOS.launch()
DBOS.register_queue("mine")
until = time.time() + 150
while len(DBOS.list_workflows(status="SUCCESS", load_input=False, load_output=False)) < COUNT and time.time() < until:
    time.sleep(0.1)
sys.stdin.read()  # until the test has seen what it waits for
DBOS.destroy()
