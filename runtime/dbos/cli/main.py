"""The `dbos` command."""

from __future__ import annotations

import click

from dbos.api.runtime import package_version
from dbos.cli.application import init, start
from dbos.cli.database import Commands
from dbos.cli.migrate import migrate, rename_application, reset
from dbos.cli.postgres import postgres
from dbos.cli.prune import prune
from dbos.cli.queues import queue
from dbos.cli.schedules import schedule
from dbos.cli.worker import worker
from dbos.cli.workflows import workflow


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_version(), prog_name="dbos")
def main() -> None:
    """Run durable workflows, and manage them."""


@click.command()
def version() -> None:
    """Show the version."""
    click.echo(f"DBOS CLI version: {package_version()}")


workflow.add_command(prune)
for command in (
    init, start, worker, migrate, reset, rename_application, workflow, queue, schedule, postgres, version,
):  # fmt: skip
    main.add_command(command)
