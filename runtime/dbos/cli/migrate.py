"""`dbos migrate`, `dbos reset` and `dbos rename-application`: the system database itself."""

from __future__ import annotations

import click

from dbos.api.administration import opened, run_dbos_database_migrations
from dbos.cli.database import choose_database, connected, database_options
from dbos.cli.output import output_option, show
from dbos.store.migrations.administration import grant_statements
from dbos.store.migrations.printing import creation_script, shown_url
from dbos.store.migrations.requirements import SCHEMA_VERSION
from dbos.store.migrations.runtime_tables import runtime_grants


@click.command()
@database_options
@click.option("-r", "--app-role", metavar="ROLE", help="PostgreSQL role of the application, to be given all it needs.")
@click.option("--print-migrations", metavar="all|NUMBER", help="Print the SQL instead of running it.")
@click.option(
    "--print-user-role", is_flag=True, help="Print the SQL of the rights of --app-role instead of running it."
)
def migrate(
    db_url: str | None, schema: str | None, app_role: str | None, print_migrations: str | None, print_user_role: bool
) -> None:
    """Create the system database and its tables, unless they are there."""
    url, place = choose_database(db_url, schema)
    shown = shown_url(url)
    if print_user_role and app_role is None:
        raise click.UsageError("--print-user-role: expected --app-role too")
    if print_migrations is not None:
        _print_migrations(print_migrations, url, place)
    if print_user_role and app_role is not None:
        grants = [*grant_statements(place, app_role), *runtime_grants(app_role)]
        click.echo("\n".join(f"{statement};" for statement in grants))
    if print_migrations is not None or print_user_role:
        return
    click.echo(f"System database: {shown}")
    click.echo(f"DBOS system schema: {place}")
    run_dbos_database_migrations(url, schema=place, application_role=app_role)
    click.echo(f"The system tables are there, version {SCHEMA_VERSION} or newer")


def _print_migrations(which: str, url: str, schema: str) -> None:
    if which != "all" and not which.isdecimal():
        raise click.UsageError(f"--print-migrations: expected all or a number, got {which!r}")
    if which != "all" and int(which) > SCHEMA_VERSION:
        click.echo(f"-- There are no migrations after {SCHEMA_VERSION}")
        return
    if which != "all" and int(which) > 1:
        raise click.UsageError(
            f"--print-migrations: version {SCHEMA_VERSION} is created in one piece here; only all can be printed"
        )
    click.echo(f"-- DBOS system database, version {SCHEMA_VERSION}, for an empty schema")
    click.echo(creation_script(url, schema))


@click.command()
@database_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def reset(db_url: str | None, schema: str | None, yes: bool) -> None:
    """Delete every workflow, queue and schedule: drop the system tables.

    Other tables of the database stay. The next launch, or `dbos migrate`, makes them again.
    """
    url, place = choose_database(db_url, schema)
    question = f"This deletes all workflows, queues and schedules in {shown_url(url)}, schema {place}. Go on?"
    if not yes and not click.confirm(question):
        click.echo("Nothing was changed.")
        return
    with opened(url, schema=place) as database:
        database.reset(truncate=False)


@click.command("rename-application")
@database_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("-f", "--from", "old_name", help="The former name. Without it only what nobody owns is taken over.")
@click.option("-t", "--to", "new_name", required=True, help="The application that then owns the rows.")
@click.option("--adopt-unclaimed-rows", is_flag=True, help="Take what nobody owns, too.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=10000, show_default=True, help="Rows per transaction."
)
@output_option
def rename_application(  # noqa: PLR0913 -- a parameter for each option
    *,
    db_url: str | None,
    schema: str | None,
    yes: bool,
    old_name: str | None,
    new_name: str,
    adopt_unclaimed_rows: bool,
    batch_size: int,
    output: str | None,
) -> None:
    """Give the rows of an application that was renamed to its new name; prints how many. Stop its processes before."""
    whose = f"of {old_name!r}" if old_name is not None else "that nobody owns"
    if not yes and not click.confirm(f"All rows {whose} will belong to {new_name!r}. Go on?"):
        click.echo("Nothing was changed.")
        return
    with connected(db_url, schema) as client:
        counts = client.rename_application(
            old_name, new_name, batch_size=batch_size, adopt_unclaimed_rows=adopt_unclaimed_rows
        )
    show(counts, output)
