"""Ours against the published package: the same script, the same server, turn by turn. Ratios, never times."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.postgres import PostgresServer, running_postgres

WORKLOAD = Path(__file__).with_name("workload.py")
MOST_ROUNDS = 5
"""Other work on the machine only ever slows a round, so the best round of each tells what it can do."""


@pytest.fixture(scope="module")
def durable_server() -> Iterator[PostgresServer]:
    """A server that waits for the disk, as a production server does."""
    with running_postgres(durable=True) as server:
        yield server


# One thread waits for the disk in every call, as the published package does: what is left to win differs
# with the disk. Promised is twice its rate for a service, which enqueues from several threads.
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "count", "least"), [("enqueue", 1000, 1.5), ("crowd", 2000, 2.0), ("drain", 1500, 3.0)]
)
def test_ours_is_faster_than_the_published_package(
    durable_server: PostgresServer, peer: Path, kind: str, count: int, least: float
) -> None:
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(MOST_ROUNDS):
        ours.append(_rate(sys.executable, kind, count, durable_server))
        theirs.append(_rate(str(peer), kind, count, durable_server))
        ratio = max(ours) / max(theirs)
        if len(ours) > 1 and ratio >= least:
            break
    told = ", ".join(f"{mine:,.0f}/s to {peers:,.0f}/s" for mine, peers in zip(ours, theirs, strict=True))
    print(f"{kind}: {ratio:.1f}x the published package ({told})")
    assert ratio >= least, f"{kind}: {ratio:.2f}x the published package, at least {least}x is promised ({told})"


def _rate(python: str, kind: str, count: int, server: PostgresServer) -> float:
    with server.database() as url:
        done = subprocess.run(
            [python, str(WORKLOAD), kind, url, str(count)], check=False, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr
    return float(json.loads(done.stdout.splitlines()[-1])["rate"])
