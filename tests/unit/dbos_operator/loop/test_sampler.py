"""What the metrics show of queues that come and go."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from prometheus_client.exposition import generate_latest

from dbos_operator.gateway.protocol import QueueStatus, Sample
from dbos_operator.loop.access import DatabaseAccess
from dbos_operator.loop.sampler import Sampler
from dbos_operator.observability.metrics import OperatorMetrics
from support.builders import NOW


class Rows:
    """What ended since the last sample."""

    def __init__(self) -> None:
        self.settled: dict[QueueStatus, int] = {}

    async def sample(self, since_ms: int | None) -> Sample:
        return Sample(since_ms=(since_ms or 0) + 1, depths={}, oldest_ms={}, settled=self.settled, recent={})


def completed(metrics: OperatorMetrics) -> dict[str, float]:
    """Successes by queue."""
    lines = [line for line in generate_latest(metrics.registry).decode().splitlines() if 'status="SUCCESS"' in line]
    return {line.split('queue="')[1].split('"')[0]: float(line.split()[-1]) for line in lines}


async def test_a_sample_leaves_no_series_of_queues_that_no_resource_names_any_more() -> None:
    rows, metrics = Rows(), OperatorMetrics()
    sampler = Sampler("team/default", cast("DatabaseAccess", rows), metrics, timedelta(seconds=30))
    rows.settled = {("emails", "SUCCESS"): 2}

    await sampler.take(["emails", "files"], NOW)
    assert completed(metrics) == {"emails": 2, "files": 0, "": 0, "_other": 0}
    await sampler.take(["files"], NOW)

    assert completed(metrics) == {"files": 0, "": 0, "_other": 2}
