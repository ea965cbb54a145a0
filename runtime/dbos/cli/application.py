"""`dbos init` and `dbos start`: an application in the working directory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import click

from dbos.config.file import FILE_NAME, read_config_file

_CONFIG = """\
# Settings of the application; what its code says wins. See docs/command.md.
name: {name}
language: python
runtimeConfig:
  start:
    - "python3 main.py"
system_database_url: ${{DBOS_SYSTEM_DATABASE_URL}}
"""

_MAIN = """\
import os

from dbos import DBOS, DBOSConfig

config: DBOSConfig = {{
    "name": "{name}",
    "system_database_url": os.environ.get("DBOS_SYSTEM_DATABASE_URL"),
}}
DBOS(config=config)


@DBOS.step()
def step_one() -> None:
    print("Step one completed!")


@DBOS.step()
def step_two() -> None:
    print("Step two completed!")


@DBOS.workflow()
def dbos_workflow() -> None:
    step_one()
    step_two()


if __name__ == "__main__":
    DBOS.launch()
    dbos_workflow()
    DBOS.destroy()
"""
_TEMPLATES = {"dbos-app-starter": {"main.py": _MAIN}}


@click.command()
@click.argument("project_name", required=False)
@click.option(
    "-t",
    "--template",
    type=click.Choice(sorted(_TEMPLATES)),
    default="dbos-app-starter",
    show_default=True,
    help="What to begin with.",
)
@click.option("-c", "--config", "config_only", is_flag=True, help=f"Write {FILE_NAME} only.")
def init(project_name: str | None, template: str, config_only: bool) -> None:
    """Begin an application in the working directory; files that are there stay as they are."""
    name = project_name or re.sub(r"[^a-z0-9_-]+", "-", Path.cwd().name.lower()).strip("-")
    if re.fullmatch(r"[a-z0-9_-]{3,256}", name) is None:
        raise click.UsageError(f"PROJECT_NAME: expected 3 to 256 characters of a-z, 0-9, - and _, got {name!r}")
    files = {FILE_NAME: _CONFIG, **({} if config_only else _TEMPLATES[template])}
    for file, text in files.items():
        try:
            with Path(file).open("x", encoding="utf-8") as opened:
                opened.write(text.format(name=name))
        except FileExistsError:
            click.echo(f"{file} is there already and stays as it is")
        else:
            click.echo(f"Wrote {file}")


@click.command()
def start() -> None:
    """Run the start commands of dbos-config.yaml, one after the other; exits as the first that fails."""
    commands = read_config_file(Path.cwd(), os.environ).start
    if not commands:
        raise click.ClickException(f"expected runtimeConfig.start with commands in {FILE_NAME}, found none")
    for command in commands:
        click.echo(f"Executing: {command}")
        status = _run(command)
        if status != 0:
            click.echo(f"Start command failed with exit code {status}: {command}", err=True)
            sys.exit(status)


def _run(command: str) -> int:
    """Run a command of the shell to its end; a signal to stop goes to it and to all that it started."""
    children: list[subprocess.Popen[bytes]] = []
    stopped: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)
        for child in children:
            os.killpg(child.pid, number)

    # Before the command begins: it may make itself known, and be stopped, at once.
    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        child = subprocess.Popen(command, shell=True, start_new_session=True)  # noqa: S602 -- the user's own commands
        children.append(child)
        for number in tuple(stopped):
            os.killpg(child.pid, number)
        status = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - status if status < 0 else status
