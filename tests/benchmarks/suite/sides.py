"""The two sides of a comparison, and how one measure is taken of one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from support.peer import peer_python

_TESTS = Path(__file__).parents[2]
_SECONDS = 300

Found = dict[str, Any]
"""What a measure found: a number, or a list of samples, by name."""


class Side(StrEnum):
    """Who is measured."""

    OURS = "ours"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class Heard:
    """What a measure found, when its process was started, and what `on_line` saw on the way."""

    found: Found
    started_at: float


def run_workload(
    side: Side, kind: str, url: str, parameters: Mapping[str, Any], *, on_line: Callable[[str], None] | None = None
) -> Heard:
    """Run one measure of the workload in the environment of a side; `on_line` is called with each line at once.

    Raises RuntimeError with what the process said when it fails.
    """
    python = sys.executable if side is Side.OURS else str(peer_python())
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DBOS", "PYTHON"))}
    command = [python, "-m", "benchmarks.workload", kind, url, json.dumps(parameters)]
    started_at = time.monotonic()
    with subprocess.Popen(
        command, cwd=_TESTS, env=inherited, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        errors: list[str] = []
        reader = threading.Thread(target=lambda stream=process.stderr: errors.extend(stream), daemon=True)
        reader.start()
        limit = threading.Timer(_SECONDS, process.kill)
        limit.start()
        last = ""
        for line in process.stdout:
            last = line
            if on_line is not None:
                on_line(line.strip())
        process.wait()
        limit.cancel()
        reader.join()
    if process.returncode != 0:
        raise RuntimeError(f"{kind} ({side}) ended with {process.returncode}:\n{''.join(errors)}")
    return Heard(json.loads(last), started_at)
