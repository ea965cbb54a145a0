"""A program as a child process that never outlives the tests."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

# The parent alone holds the other end of the child's standard input. However the parent
# ends, the kernel closes it, the loop in the background reads the end and kills the group.
# (A shell gives /dev/null to what it starts in the background, hence the third descriptor.)
_TIED_TO_PARENT = 'exec 3<&0 </dev/null; (read -r _ <&3; kill -KILL 0) & exec 3<&- "$@"'


class Child:
    """A running program with a log file, the leader of its own process group."""

    def __init__(self, arguments: Sequence[str | Path], log: Path) -> None:
        self.name = Path(arguments[0]).name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _TIED_TO_PARENT, "sh", *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process ID of the program itself."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.poll() is None

    def pause(self) -> None:
        """Freeze the program: connections stay open and nobody answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen program go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the program and its watcher at once. A second call does nothing."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        try:
            # The watcher belongs to the group as long as the pipe is open, so the number is still ours.
            os.killpg(self._process.pid, signal.SIGKILL)
        finally:
            self._process.wait()
            self._process.stdin.close()

    def tail(self, lines: int = 20) -> str:
        """The end of the log."""
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(text[-lines:])
