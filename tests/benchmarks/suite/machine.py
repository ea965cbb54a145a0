"""Where a run was made: what a reader must know before comparing numbers."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psycopg

_ROOT = Path(__file__).parents[3]


def describe_machine(url: str) -> dict[str, object]:
    """The machine, the versions, the moment and how busy it is."""
    with psycopg.connect(url) as connection:
        (version,) = connection.execute("SHOW server_version").fetchone() or ("unknown",)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgres": str(version).split(" ", 1)[0],
        "load_before": load(),
    }


def load() -> float:
    """Processes that want to run, as an average of the last minute."""
    return round(os.getloadavg()[0], 1)


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, check=False, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
