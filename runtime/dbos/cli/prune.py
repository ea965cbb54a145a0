"""`dbos workflow prune`: delete workflows that ended, once."""

from __future__ import annotations

import click

from dbos.cli.database import connected, database_options
from dbos.config.retention import MAX_BATCH, MIN_AGE_SECONDS, RetentionOptions
from dbos.engine.retention import Retention


@click.command()
@database_options
@click.option("-a", "--application-name", required=True, help="Of this application, and of nobody.")
@click.option("--older-than", type=click.FloatRange(min=MIN_AGE_SECONDS), help="Ended that many seconds ago.")
@click.option("--keep", type=click.IntRange(min=1), help="Of those that ended all but that many, the newest.")
@click.option("--batch-size", type=click.IntRange(1, MAX_BATCH), default=1000, show_default=True, help="At once.")
def prune(
    db_url: str | None,
    schema: str | None,
    application_name: str,
    older_than: float | None,
    keep: int | None,
    batch_size: int,
) -> None:
    """Delete workflows that ended, with all that belongs to them, as the setting `retention` would.

    Nothing that may still run is deleted, nor what descends from it. Prints how many went.
    """
    if older_than is None and keep is None:
        raise click.UsageError("Which workflows? Give --older-than, --keep or both.")
    options = RetentionOptions(max_age_seconds=older_than, max_workflows=keep, batch_size=batch_size)
    with connected(db_url, schema, application_name=application_name) as client:
        click.echo(Retention(client.services, options, hold=lambda _seconds: True).turn())
