"""The measures of the runtime, in the order of the table."""

from __future__ import annotations

from benchmarks.suite.figures import Measure, amount, milliseconds, rate

LISTED = 100
"""How many workflows wait in the queue that is listed."""
HISTORY, QUICK_HISTORY = 1_000_000, 20_000
"""Rows of workflows that ended, beside it."""


def _enqueue(threads: int, count: int, times: float) -> Measure:
    title = "enqueue, 1 thread" if threads == 1 else f"enqueue, {threads} threads"
    return Measure(
        name=f"enqueue-{threads}",
        kind="enqueue",
        ours={"count": count, "threads": threads},
        quick={"count": 500},
        figures=(rate(f"enqueue-{threads}", title, times=times),),
    )


def _limited_drain(limit: int, times: float) -> Measure:
    return Measure(
        name=f"drain-{limit}",
        kind="drain",
        ours={"count": 2000, "worker_concurrency": limit},
        peer={"count": 6 * limit, "worker_concurrency": limit},
        quick={"count": 4 * limit},
        figures=(rate(f"drain-{limit}", f"drain, `worker_concurrency={limit}`", times=times),),
    )


def _idle(queues: int) -> Measure:
    more = (amount("idle-memory", "idle worker, memory", "MB", "megabytes", bound=55),) if queues == 1 else ()
    told = "1 queue" if queues == 1 else f"{queues} queues"
    return Measure(
        name=f"idle-{queues}",
        kind="idle",
        ours={"queues": queues, "settle_seconds": 2.0, "idle_seconds": 5.0},
        quick={"settle_seconds": 1.5, "idle_seconds": 2.0},
        rounds=2,
        figures=(
            amount(f"idle-trips-{queues}", f"idle worker, {told}: round trips", "/s", "round_trips", bound=2),
            amount(f"idle-threads-{queues}", f"idle worker, {told}: threads", "", "threads"),
            *more,
        ),
    )


RUNTIME: tuple[Measure, ...] = (
    _enqueue(1, 2000, 2.5),
    _enqueue(8, 3000, 3.0),
    Measure(
        name="batch",
        kind="batch",
        ours={"count": 20_000, "batch": 1000},
        peer={"count": 3000, "batch": 1000},
        quick={"count": 2000},
        figures=(rate("batch", "enqueue in batches of 1,000", times=15.0),),
    ),
    Measure(
        name="drain",
        kind="drain",
        ours={"count": 6000},
        quick={"count": 1500},
        figures=(rate("drain", "drain, no limits", times=6.0),),
    ),
    _limited_drain(100, 30.0),
    _limited_drain(10, 200.0),
    Measure(
        name="together",
        kind="together",
        ours={"count": 3000, "threads": 4},
        quick={"count": 1000},
        figures=(rate("together", "enqueue (4 threads) and drain at once", times=4.0),),
    ),
    Measure(
        name="steps",
        kind="steps",
        ours={"workflows": 20, "count": 200},
        peer={"workflows": 20, "count": 60},
        quick={"count": 20},
        figures=(rate("steps", "steps, 20 workflows at once", times=10.0),),
    ),
    Measure(
        name="call",
        kind="call",
        ours={"count": 400},
        quick={"count": 100},
        figures=(
            milliseconds("call-p50", "call of a workflow of 1 step, p50", 50, times=3.0),
            milliseconds("call-p99", "call of a workflow of 1 step, p99", 99),
        ),
    ),
    Measure(
        name="start",
        kind="latency",
        ours={"count": 100, "pause_seconds": 0.1},
        peer={"count": 25, "pause_seconds": 1.0},  # over the whole of a poll
        quick={"count": 8},
        figures=(
            milliseconds("start-p50", "enqueue to first line, idle worker, p50", 50, bound=5),
            milliseconds("start-p99", "enqueue to first line, idle worker, p99", 99, bound=20),
        ),
    ),
    Measure(
        name="lateness",
        kind="lateness",
        ours={"count": 20},
        quick={"count": 3},
        rounds=3,
        figures=(
            milliseconds("lateness-p50", "run of a schedule after its moment, p50", 50, bound=5),
            milliseconds("lateness-p99", "run of a schedule after its moment, p99", 99, bound=25),
        ),
    ),
    _idle(1),
    _idle(10),
    _idle(100),
    Measure(
        name="listing",
        kind="listing",
        ours={"count": 30},
        rounds=3,
        figures=(
            milliseconds(
                "listing",
                f"list the {LISTED} workflows of a queue beside a long history, p50",
                50,
                bound=2,
            ),
        ),
    ),
    Measure(
        name="import",
        kind="importing",
        ours={"count": 4},
        figures=(milliseconds("import", "import `DBOS` and `DBOSClient`", 50, bound=200),),
    ),
    Measure(
        name="ready",
        kind="idle",
        ours={"queues": 1, "settle_seconds": 0.0, "idle_seconds": 0.0},
        figures=(amount("ready", "process started to launched", "ms", "ready_milliseconds", bound=350),),
    ),
)
