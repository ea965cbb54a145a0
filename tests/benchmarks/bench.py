"""`make bench`: how fast the runtime is beside the published package, and what the operator costs."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from benchmarks.suite.machine import describe_machine, load
from benchmarks.suite.operator_tasks import OperatorMeasures
from benchmarks.suite.report import as_text
from benchmarks.suite.results import Run, write_run
from benchmarks.suite.runner import Task, run_tasks
from benchmarks.suite.runtime_tasks import RuntimeMeasures
from support.peer import peer_python
from support.postgres import running_postgres

ROUNDS, QUICK_ROUNDS = 5, 1


@click.command(help=__doc__)
@click.option("--only", default="", help="Measures by name, or by the words that names begin with: enqueue,drain-10.")
@click.option("--rounds", type=click.IntRange(min=1), help=f"Turns of each side; {ROUNDS}, or {QUICK_ROUNDS} if quick.")
@click.option("--quick", is_flag=True, help="Small sizes: whether everything works, and roughly how fast.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The JSON file to write.")
def main(only: str, rounds: int | None, *, quick: bool, output: Path) -> None:
    began = time.monotonic()
    rounds = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    with ExitStack() as stack:
        server = stack.enter_context(running_postgres(durable=True))
        operator = OperatorMeasures(server, stack, say, quick=quick)
        tasks = choose([*RuntimeMeasures(server, quick=quick).tasks(), *operator.tasks()], only)
        peer_python()
        machine = describe_machine(server.url)
        machine |= {"command": command(only, rounds, quick=quick), "rounds": rounds}
        results = []
        for result in run_tasks(tasks, rounds=rounds, say=say):
            results.append(result)  # written each time: what fails or is interrupted costs only what comes later
            write_run(Run({**machine, "load_after": load()}, tuple(results)), output)
    click.echo(f"\n{as_text(results)}\n\n{output} written after {time.monotonic() - began:.0f} s")


def choose(tasks: Sequence[Task], only: str) -> list[Task]:
    """The tasks that were asked for, all without a wish. Raises click.UsageError where no task has such a name."""
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    chosen: set[str] = set() if wanted else {task.name for task in tasks}
    for name in wanted:
        matching = {task.name for task in tasks if task.name == name or task.name.startswith(f"{name}-")}
        if not matching:
            known = ", ".join(task.name for task in tasks)
            raise click.UsageError(f"--only: expected one of {known}, or how some of them begin; got {name!r}")
        chosen |= matching
    return [task for task in tasks if task.name in chosen]


def command(only: str, rounds: int, *, quick: bool) -> str:
    """What a user types to have this run again."""
    words = ["make", "bench", *([f"ONLY={only}"] if only else []), f"ROUNDS={rounds}", *(["QUICK=1"] if quick else [])]
    return shlex.join(words)


def say(line: str) -> None:
    """Progress, at once."""
    click.echo(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
