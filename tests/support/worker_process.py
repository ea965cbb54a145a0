"""A `dbos worker` of its own: an application as text, its process, what it says and how it ends."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

_SECONDS = 30.0


class WorkerProcess:
    """A process that runs `dbos worker` (or a script); as a context manager it is killed in the end."""

    def __init__(
        self, folder: Path, application: str, *, environment: Mapping[str, str] | None = None, as_script: bool = False
    ) -> None:
        """`application` is written to app.py in the folder, which becomes the working directory."""
        (folder / "app.py").write_text(application, encoding="utf-8")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DBOS")}
        command = [sys.executable, "-u", "app.py"] if as_script else [str(dbos_command()), "worker", "app.py"]
        self.lines: list[str] = []
        """Everything it printed and logged."""
        self._news: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**inherited, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def said(self) -> str:
        """Everything it printed and logged, for the message of a failed test."""
        return "\n".join(self.lines)

    def wait_for(self, text: str, *, within: float = _SECONDS) -> str:
        """The next line that contains a text; AssertionError when it ends or stays silent."""
        deadline = time.monotonic() + within
        while True:
            try:
                line = self._news.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line with {text!r} within {within:g} s:\n{self.said}") from None
            assert line is not None, f"ended with {self.process.wait()} before a line with {text!r}:\n{self.said}"
            if text in line:
                return line

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def ended(self, *, within: float = _SECONDS) -> int:
        """Its exit status; AssertionError when it goes on."""
        try:
            status = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within:g} s:\n{self.said}") from None
        self._reader.join(_SECONDS)
        return status

    def kill(self) -> None:
        """End it at once, as a lost node would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(_SECONDS)
        self._reader.join(_SECONDS)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self.lines.append(line.rstrip("\n"))
                self._news.put(line)
        self._news.put(None)


def dbos_command() -> Path:
    """The installed `dbos` command beside this interpreter."""
    return Path(sys.executable).with_name("dbos")
