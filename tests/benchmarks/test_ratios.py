"""Ours against the published package: the same workload, the same server, turn by turn. Ratios, never times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.suite.sides import Side, run_workload
from support.postgres import PostgresServer, running_postgres

MOST_ROUNDS = 5
"""Other work on the machine only ever slows a round, so the best round of each tells what it can do."""


@pytest.fixture(scope="module")
def durable_server() -> Iterator[PostgresServer]:
    """A server that waits for the disk, as a production server does."""
    with running_postgres(durable=True) as server:
        yield server


# These are floors, which a busy machine holds too; what was measured on a quiet one is in docs/performance.md.
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "parameters", "reads", "least"),
    [
        pytest.param("enqueue", {"count": 1000, "threads": 1}, "best_rate", 1.5, id="enqueue-1"),
        pytest.param("enqueue", {"count": 2000, "threads": 8}, "rate", 1.5, id="enqueue-8"),
        pytest.param("drain", {"count": 1500}, "rate", 3.0, id="drain"),
    ],
)
def test_ours_is_faster_than_the_published_package(
    durable_server: PostgresServer, peer: Path, kind: str, parameters: Mapping[str, Any], reads: str, least: float
) -> None:
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(MOST_ROUNDS):
        for side, found in ((Side.OURS, ours), (Side.PEER, theirs)):
            with durable_server.database() as url:
                found.append(run_workload(side, kind, url, parameters).found[reads])
        ratio = max(ours) / max(theirs)
        if len(ours) > 1 and ratio >= least:
            break
    told = ", ".join(f"{mine:,.0f}/s to {peers:,.0f}/s" for mine, peers in zip(ours, theirs, strict=True))
    print(f"{kind} {parameters}: {ratio:.1f}x the published package ({told})")
    assert ratio >= least, f"{kind}: {ratio:.2f}x the published package, at least {least}x is promised ({told})"
