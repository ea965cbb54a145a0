"""Which rows a target can take."""

from __future__ import annotations

import pytest

from dbos_operator.scaling.demand import QueueDemand, TargetVersions, Work, count_work

KNOWN = TargetVersions(current="v2")
UNKNOWN = TargetVersions()


@pytest.mark.parametrize(
    ("demand", "versions", "expected"),
    [
        (QueueDemand(queue_name="q"), KNOWN, Work(waiting=0, running=0)),
        (QueueDemand(queue_name="q", runnable=3, running=2, delayed_soon=1), KNOWN, Work(waiting=4, running=2)),
        (QueueDemand(queue_name="q", runnable=3, by_version={None: 3}), UNKNOWN, Work(waiting=3, running=0)),
        (QueueDemand(queue_name="q", runnable=3, by_version={"v2": 3}), KNOWN, Work(waiting=3, running=0)),
        (QueueDemand(queue_name="q", runnable=3, by_version={"v1": 3}), KNOWN, Work(waiting=0, running=0, stranded=3)),
        (
            QueueDemand(queue_name="q", runnable=3, by_version={"v1": 3}),
            UNKNOWN,
            Work(waiting=0, running=0, unproven=3),
        ),
        (
            QueueDemand(queue_name="q", runnable=9, delayed_soon=1, by_version={None: 2, "v1": 3, "v2": 4}),
            KNOWN,
            Work(waiting=7, running=0, stranded=3),
        ),
    ],
    ids=[
        "nothing",
        "without versions all count",
        "unversioned rows count for an unknown target",
        "rows of the target's version count",
        "rows of another version are stranded",
        "rows of some version are unproven for an unknown target",
        "a mixture, with one row that is not listed by version",
    ],
)
def test_rows_count_for_the_target_that_can_take_them(
    demand: QueueDemand, versions: TargetVersions, expected: Work
) -> None:
    assert count_work(demand, versions) == expected


def test_running_work_counts_whatever_its_version() -> None:
    demand = QueueDemand(queue_name="q", running=4, mean_duration_seconds=2.5)
    work = count_work(demand, KNOWN)
    assert (work.running, work.total, work.mean_duration_seconds) == (4, 4, 2.5)


def test_counts_by_version_that_were_cut_differently_never_make_waiting_rows_negative() -> None:
    demand = QueueDemand(queue_name="q", runnable=5, by_version={"v1": 5, "v2": 5}, truncated=True)
    assert count_work(demand, KNOWN) == Work(waiting=5, running=0, stranded=5)
