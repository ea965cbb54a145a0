"""`dbos queue`: look at queues."""

from __future__ import annotations

from typing import Any

import click

from dbos.api.queues import Queue
from dbos.cli.database import connected, database_options
from dbos.cli.output import output_option, show_list

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


@click.group()
def queue() -> None:
    """Look at queues."""


@queue.command("list")
@database_options
@click.option("-a", "--application-name", help="Of this application.")
@output_option
def list_queues(db_url: str | None, schema: str | None, application_name: str | None, output: str | None) -> None:
    """List the queues with their limits. `dbos workflow queue list` lists what is on them."""
    with connected(db_url, schema) as client:
        told = [_fields(each) for each in client.list_queues(application_name=application_name)]
    show_list(told, output, _FIELDS[:4])


def _fields(found: Queue) -> dict[str, Any]:
    return {name: getattr(found, name) for name in _FIELDS}
