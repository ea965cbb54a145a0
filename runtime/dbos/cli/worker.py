"""`dbos worker`: the process that a Deployment runs."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from dbos._error import DBOSInitializationError
from dbos.api.app import DBOS
from dbos.api.runtime import process

logger = logging.getLogger("dbos")

DEFAULT_GRACE_SECONDS = 25.0
DRAINED_LOOK_SECONDS = 0.2


@click.command()
@click.argument("module_or_file")
@click.option("--until-drained", is_flag=True, help="End, with status 0, once no work is left; for Jobs.")
def worker(module_or_file: str, until_drained: bool) -> None:
    """Serve the queues of the application in MODULE_OR_FILE until SIGTERM or SIGINT.

    The module is imported (never run as __main__) and launched, unless it launched itself. On SIGTERM
    the worker claims nothing more, lets what runs finish for DBOS_SHUTDOWN_GRACE_SEC seconds (default
    25), hands back what it has not begun and exits with 0. A second signal ends it at once.

    With --until-drained it ends as soon as nothing runs and nothing waits that it may run; workflows
    whose delay is not over, of another version or of functions it does not have, are left to others.

    DBOS_SYSTEM_DATABASE_URL fills in where the configuration names no database. Exit status 2: the
    application or its settings cannot be used.
    """
    grace = _grace_seconds()
    process.admin_server = False  # several workers of one machine would fight over its port
    process.fallback_database_url = os.environ.get("DBOS_SYSTEM_DATABASE_URL") or None
    stop = _catch_signals()
    try:
        _load(module_or_file)
        if process.application is None:
            _fail(f"{module_or_file}: expected a module that calls DBOS(config=…), found none")
        if process.application.engine is None:
            DBOS.launch()
    except DBOSInitializationError as error:
        _fail(str(error))
    except Exception as error:  # noqa: BLE001 -- whatever a module raises, its author needs to see where
        traceback.print_exc()
        _fail(f"{module_or_file}: raised {type(error).__name__} while it was loaded")
    if until_drained:
        _await_drained(stop)
    else:
        stop.wait()
    logger.info("Stopping: running workflows have %.0f s to finish", grace)
    finished = _stop(grace)
    logger.info("Stopped" if finished else "Stopped with workflows that still run; they are recovered elsewhere")
    if not finished:
        # Their threads cannot be ended, and the interpreter must not wait for them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _await_drained(stop: threading.Event) -> None:
    while not stop.wait(DRAINED_LOOK_SECONDS):
        application = process.application
        if application is None or application.engine is None or application.engine.drained():
            return


def _stop(grace: float) -> bool:
    application = process.application
    return application is None or application.stop(completion_seconds=grace)


def _catch_signals() -> threading.Event:
    stop = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop


def _load(module_or_file: str) -> None:
    path = Path(module_or_file)
    if path.suffix == ".py" or path.is_file():
        _load_file(path)
        return
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.util.find_spec(module_or_file)
    except (ImportError, ValueError):
        found = None
    if found is None:
        _fail(f"{module_or_file}: expected a Python file or the name of a module, found neither")
    importlib.import_module(module_or_file)


def _load_file(path: Path) -> None:
    if not path.is_file():
        _fail(f"{path}: expected a Python file, found none")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        _fail(f"{path}: expected a Python file (name.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)


def _grace_seconds() -> float:
    text = os.environ.get("DBOS_SHUTDOWN_GRACE_SEC")
    if not text:
        return DEFAULT_GRACE_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < threading.TIMEOUT_MAX:
        _fail(f"DBOS_SHUTDOWN_GRACE_SEC: expected seconds, 0 or more, got {text!r}")
    return seconds


def _fail(message: str) -> NoReturn:
    click.echo(f"dbos worker: {message}", err=True)
    sys.exit(2)
