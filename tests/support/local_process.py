"""`dbos-operator local` as a process of its own, as a person calls it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

_WAIT = 100.0


class LocalProcess:
    """A supervisor under test. Its lines are kept, and can be waited for."""

    def __init__(self, *arguments: str | Path, **environment: str) -> None:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("DBOS")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dbos_operator", "local", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**inherited, **environment},
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """Everything it printed."""
        return "\n".join(self.lines)

    def wait_for(self, what: Callable[[str], bool]) -> str:
        """The first line that satisfies `what`."""
        with self._changed:
            self._changed.wait_for(lambda: any(map(what, self.lines)) or not self._reader.is_alive(), _WAIT)
        found = next(filter(what, self.lines), None)
        assert found is not None, self.text
        return found

    def wait(self) -> int:
        """The exit status."""
        status = self.process.wait(_WAIT)
        self._reader.join(_WAIT)
        return status

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(_WAIT)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()
