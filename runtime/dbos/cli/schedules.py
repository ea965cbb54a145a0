"""`dbos schedule`: look at schedules and manage them."""

from __future__ import annotations

from datetime import datetime

import click

from dbos.api.client import DBOSClient
from dbos.cli.database import connected, database_options
from dbos.cli.output import output_option, show, show_list
from dbos.engine.schedules import WorkflowSchedule

_COLUMNS = ("schedule_name", "status", "schedule", "cron_timezone", "workflow_name", "queue_name", "last_fired_at")


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"expected ISO 8601 such as 2026-01-31T12:00:00+00:00, got {text!r}") from None


@click.group()
def schedule() -> None:
    """Look at schedules and manage them."""


@schedule.command("list")
@database_options
@click.option("-S", "--status", type=click.Choice(["ACTIVE", "PAUSED"], case_sensitive=False), help="In this status.")
@click.option("-n", "--workflow-name", help="Of this workflow.")
@click.option("-a", "--application-name", help="Of this application, and of nobody.")
@output_option
def list_schedules(
    db_url: str | None,
    schema: str | None,
    *,
    status: str | None,
    workflow_name: str | None,
    application_name: str | None,
    output: str | None,
) -> None:
    """List schedules."""
    with connected(db_url, schema) as client:
        found = client.list_schedules(status=status, workflow_name=workflow_name, application_name=application_name)
    show_list([dict(each) for each in found], output, _COLUMNS)


@schedule.command()
@click.argument("name")
@database_options
@output_option
def get(name: str, db_url: str | None, schema: str | None, output: str | None) -> None:
    """Show a schedule."""
    with connected(db_url, schema) as client:
        show(dict(_existing(client, name)), output)


@schedule.command()
@click.argument("name")
@database_options
def pause(name: str, db_url: str | None, schema: str | None) -> None:
    """Let a schedule fire nothing until it is resumed."""
    with connected(db_url, schema) as client:
        _existing(client, name)
        client.pause_schedule(name)


@schedule.command()
@click.argument("name")
@database_options
def resume(name: str, db_url: str | None, schema: str | None) -> None:
    """Let a schedule fire again."""
    with connected(db_url, schema) as client:
        _existing(client, name)
        client.resume_schedule(name)


@schedule.command()
@click.argument("name")
@database_options
def trigger(name: str, db_url: str | None, schema: str | None) -> None:
    """Run the workflow of a schedule now, paused or not; prints its ID."""
    with connected(db_url, schema) as client:
        click.echo(client.trigger_schedule(name).workflow_id)


@schedule.command()
@click.argument("name")
@click.argument("start", type=_moment)
@click.argument("end", type=_moment)
@database_options
def backfill(name: str, start: datetime, end: datetime, db_url: str | None, schema: str | None) -> None:
    """Enqueue the runs that were due between START and END, each once; prints their IDs."""
    with connected(db_url, schema) as client:
        for handle in client.backfill_schedule(name, start, end):
            click.echo(handle.workflow_id)


@schedule.command()
@click.argument("name")
@database_options
def delete(name: str, db_url: str | None, schema: str | None) -> None:
    """Remove a schedule; runs that were started go on."""
    with connected(db_url, schema) as client:
        _existing(client, name)
        client.delete_schedule(name)


def _existing(client: DBOSClient, name: str) -> WorkflowSchedule:
    found = client.get_schedule(name)
    if found is None:
        raise click.ClickException(f"there is no schedule {name!r}")
    return found
