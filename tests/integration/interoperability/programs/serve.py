"""Run the application of a module with the published package until stdin closes or SIGTERM comes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType

from dbos import DBOS


def stop(_number: int, _frame: FrameType | None) -> None:
    """End at once: what runs is what recovery is for."""
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
importlib.import_module(sys.argv[1])
DBOS.launch()
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
