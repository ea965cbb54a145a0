"""`dbos-operator run` as a process of its own, as a pod runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Line = dict[str, Any]
_WAIT = 60.0


class OperatorProcess:
    """An operator under test. Its log lines are kept, and can be waited for."""

    def __init__(self, *arguments: str, kubeconfig: Path | None = None) -> None:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("DBOS_OPERATOR_")}
        command = [
            *(sys.executable, "-m", "dbos_operator", "run", "--log-format", "json"),
            *("--metrics-address", "localhost:0", "--health-address", "127.0.0.1:0"),
            *(() if kubeconfig is None else ("--kubeconfig", str(kubeconfig))),
            *arguments,
        ]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self._changed = threading.Condition()
        self.lines: list[Line] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The operator's process ID."""
        return self._process.pid

    def wait_for(self, what: Callable[[Line], bool]) -> Line:
        """The first log line that satisfies `what`; fails when the process ends or a minute passes without one."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._first(what) or not self._reader.is_alive(), _WAIT)
        line = self._first(what)
        assert line is not None, f"{'ended' if found else 'too slow'}; the log:\n{self.log()}"
        return line

    def wait_until_started(self) -> None:
        """Return when the operator has listed the cluster and works."""
        self.wait_for(lambda line: line["message"] == "operator started")

    def wait_for_end(self) -> int:
        """The exit status of a process that ends by itself."""
        status = self._process.wait(_WAIT)
        self._reader.join(_WAIT)
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stop(self) -> int:
        """End it as a kubelet does and return its exit status."""
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait_for_end()
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def address(self, path: str) -> str:
        """The URL at which the operator serves a path."""
        line = self.wait_for(lambda line: line["message"] == "listening" and path in line["paths"].split())
        return f"http://{line['address']}{path}"

    def fetch(self, path: str) -> tuple[int, str]:
        """Status and text of an HTTP endpoint."""
        try:
            with urllib.request.urlopen(self.address(path), timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def log(self) -> str:
        """Everything logged so far, a line each."""
        return "\n".join(json.dumps(line) for line in self.lines)

    def _first(self, what: Callable[[Line], bool]) -> Line | None:
        return next((line for line in list(self.lines) if what(line)), None)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for text in self._process.stderr:
            try:
                line = json.loads(text)
            except ValueError:
                # What is refused before logging begins is plain text.
                line = {"message": text.rstrip("\n")}
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


@contextmanager
def an_operator(*arguments: str, kubeconfig: Path) -> Iterator[OperatorProcess]:
    """An operator that works, for the length of the block."""
    process = OperatorProcess(*arguments, kubeconfig=kubeconfig)
    try:
        process.wait_until_started()
        yield process
    finally:
        process.stop()
        # pytest shows this where a test fails.
        print(process.log())
