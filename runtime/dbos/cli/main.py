"""The `dbos` command."""

from __future__ import annotations

import click

from dbos.api.runtime import package_version
from dbos.cli.worker import worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_version(), prog_name="dbos")
def main() -> None:
    """Run durable workflows."""


main.add_command(worker)
