"""How much memory a process holds."""

from __future__ import annotations

import subprocess


def resident_megabytes(pid: int) -> float:
    """The resident memory of a process."""
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024
