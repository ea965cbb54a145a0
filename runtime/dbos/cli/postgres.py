"""`dbos postgres`: a PostgreSQL of one's own for development, in a container."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import click

CONTAINER = "dbos-db"
IMAGE = "postgres:17"
_READY_SECONDS = 60.0
_PAUSE_SECONDS = 0.5


@click.group()
def postgres() -> None:
    """Start and stop a PostgreSQL for development, with docker."""


@postgres.command()
def start() -> None:
    """Start a PostgreSQL in the container dbos-db on port 5432; prints its URL.

    PGPASSWORD is its password (default: dbos).
    """
    password = os.environ.get("PGPASSWORD") or "dbos"
    state = _docker("container", "inspect", "--format", "{{.State.Running}}", CONTAINER, may_fail=True)
    if state is None:
        _docker("run", "--detach", "--name", CONTAINER, "--publish", "5432:5432", "--env", "POSTGRES_PASSWORD", IMAGE,
                environment={"POSTGRES_PASSWORD": password})  # fmt: skip
    elif state.strip() != "true":
        _docker("start", CONTAINER)
    deadline = time.monotonic() + _READY_SECONDS
    while _docker("exec", CONTAINER, "pg_isready", "--host", "127.0.0.1", may_fail=True) is None:
        if time.monotonic() > deadline:
            raise click.ClickException(f"PostgreSQL does not answer; `docker logs {CONTAINER}` tells why")
        time.sleep(_PAUSE_SECONDS)
    click.echo(f"postgresql://postgres:{password}@localhost:5432/dbos")


@postgres.command()
def stop() -> None:
    """Stop it; its data stays in the container for the next start."""
    if _docker("container", "inspect", CONTAINER, may_fail=True) is None:
        raise click.ClickException(f"there is no container {CONTAINER}")
    _docker("stop", CONTAINER)
    click.echo(f"Stopped {CONTAINER}")


def _docker(*arguments: str, may_fail: bool = False, environment: dict[str, str] | None = None) -> str | None:
    """What docker prints; None when it fails and may."""
    docker = shutil.which("docker")
    if docker is None:
        raise click.ClickException("docker was not found on PATH; install it, or set DBOS_SYSTEM_DATABASE_URL instead")
    done = subprocess.run(  # noqa: S603 -- our own arguments
        [docker, *arguments], capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if done.returncode == 0:
        return done.stdout
    if may_fail:
        return None
    told = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[0]
    raise click.ClickException(f"docker {arguments[0]}: {told}")
