"""The command `dbos-operator`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module, metadata

import click

from dbos_operator.cli.options import explain
from dbos_operator.errors import OperatorError

COMMANDS = {"local": "dbos_operator.cli.local", "run": "dbos_operator.cli.run"}
"""Loaded when they are called: the Kubernetes client alone takes a second, which `local` need not spend."""


EXTRA = {"aiohttp", "jsonschema", "kopf", "kubernetes", "watchfiles"}
"""What the extra `operator` brings, and the runtime alone does not."""


class CommandGroup(click.Group):
    """Commands by the module that holds them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """The names, as `--help` lists them."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("dbos-operator"), prog_name="dbos-operator")
def dbos_operator() -> None:
    """Run the queues, schedules and workers of DBOS applications from Kubernetes resources."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process with its status: 2 for bad input, 1 for what went wrong later."""
    sys.exit(run_command(sys.argv[1:] if arguments is None else arguments))


def run_command(arguments: Sequence[str]) -> int:
    """Run the command and return its status; a refusal is one line on standard error."""
    try:
        status = dbos_operator.main(list(arguments), prog_name="dbos-operator", standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"dbos-operator: {explain(error)}", err=True)
        return error.exit_code
    except click.Abort:
        click.echo("dbos-operator: interrupted", err=True)
        return 130
    except OperatorError as error:
        click.echo(f"dbos-operator: {error}", err=True)
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        click.echo(
            f"dbos-operator: {error.name} is not installed; install it with: pip install 'dbos-operator[operator]'",
            err=True,
        )
        return 2
    return status if isinstance(status, int) else 0
