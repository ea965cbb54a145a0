"""`dbos queue`: look at queues."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from dbos.api.queues import Queue
from dbos.cli.database import connected, database_options
from dbos.cli.output import output_option, show_list
from dbos.store.depths import QueueDepth, load_depths

_FIELDS = (
    "name",
    "global_concurrency",
    "worker_concurrency",
    "limiter",
    "partition_concurrency",
    "partition_worker_concurrency",
    "partition_limiter",
    "polling_interval_sec",
)
_COUNTS = ("enqueued", "pending", "delayed")


@click.group()
def queue() -> None:
    """Look at queues."""


@queue.command("list")
@database_options
@click.option("-a", "--application-name", help="Of this application, and of nobody.")
@output_option
def list_queues(db_url: str | None, schema: str | None, application_name: str | None, output: str | None) -> None:
    """List the queues with their limits, and how much waits and runs there.

    Queues that were never registered are listed too when something waits there: nobody takes it.
    `dbos workflow queue list` lists the workflows.
    """
    with connected(db_url, schema) as client:
        registered = [_fields(each) for each in client.list_queues(application_name=application_name)]
        database = client.services.database
        depths = database.run(
            partial(load_depths, application_name, system_schema=database.schema, refusals=None, served=())
        )
    counted = {each.name: each for each in depths}
    told = [{**each, "registered": True, **_counts(counted.get(each["name"]))} for each in registered]
    told += [
        {"name": each.name, **dict.fromkeys(_FIELDS[1:]), "registered": False, **_counts(each)}
        for each in depths
        if not each.registered
    ]
    show_list(told, output, (*_FIELDS[:4], "registered", *_COUNTS))


def _fields(found: Queue) -> dict[str, Any]:
    return {name: getattr(found, name) for name in _FIELDS}


def _counts(depth: QueueDepth | None) -> dict[str, int]:
    return {name: 0 if depth is None else getattr(depth, name) for name in _COUNTS}
