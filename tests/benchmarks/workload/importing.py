"""Import: what a program pays before its own first line."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import time
started = time.perf_counter()
from dbos import DBOS, DBOSClient
print((time.perf_counter() - started) * 1000)
"""


def measure(_url: str, *, count: int) -> dict[str, list[float]]:
    """`milliseconds` to import the names that every application uses, each time in a new process."""
    command = [sys.executable, "-c", _PROGRAM]
    return {
        "milliseconds": [
            float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(count)
        ]
    }
