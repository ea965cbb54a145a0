"""Exact numbers for the metrics: counted apart from the tick, under a time limit of their own."""

from __future__ import annotations

from datetime import timedelta

from dbos.store.operation import Row as DatabaseRow
from dbos.store.operation import Statement
from dbos_operator.gateway.protocol import GatewayRequest, QueueStatus, Sample

SAMPLE_TIMEOUT = timedelta(seconds=5)
SETTLING_MS = 10_000
"""How long a transaction may take to show a completion; younger ones are counted again."""


def sample_statements(since_ms: int | None, gateway: GatewayRequest) -> list[Statement]:
    """The statements of a sample, for one transaction."""
    application = {"application": gateway.application_name}
    return [
        Statement("limit_sample", {"timeout": f"{SAMPLE_TIMEOUT // timedelta(milliseconds=1)}ms"}),
        Statement("sample_moment"),
        Statement("sample_depths", application),
        Statement(
            "sample_completed",
            # Nothing is completed in the future: the first sample counts nothing and knows where to begin.
            {**application, "since_ms": since_ms if since_ms is not None else 2**62, "settling_ms": SETTLING_MS},
        ),
    ]


def parse_sample(answers: list[list[DatabaseRow]], since_ms: int | None) -> Sample:
    """The answers as values."""
    _, moment, depths, completed = answers
    now_ms: int = moment[0]["now_ms"]
    settled: dict[QueueStatus, int] = {}
    recent: dict[QueueStatus, int] = {}
    for row in completed:
        key = (row["queue_name"] or "", row["status"])
        settled[key], recent[key] = row["settled"], row["recent"]
    return Sample(
        depths={(row["queue_name"], row["status"]): row["number"] for row in depths},
        oldest_ms={row["queue_name"]: row["oldest"] for row in depths if row["status"] == "ENQUEUED"},
        settled=settled,
        recent=recent,
        since_ms=now_ms if since_ms is None else max(since_ms, now_ms - SETTLING_MS),
    )
