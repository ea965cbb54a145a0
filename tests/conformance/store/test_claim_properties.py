"""Whatever limits a queue has, whatever waits there and whoever claims: no limit is exceeded, none is left unused."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbos.core.ids import OwnerToken
from dbos.core.limits import QueueLimits, check_limits, claim_budget
from dbos.store.database import SystemDatabase
from dbos.store.dequeue import ClaimRequest, claim_statement, list_partitions
from dbos.store.operation import Operation, Row
from dbos.store.queues import register_queue
from support.bystander import Bystander, bystander
from support.store_records import a_claimant, opened

pytestmark = pytest.mark.both_databases
_numbers = itertools.count(1)
_HOUR = 3600.0


@pytest.fixture
def database(database_url: str) -> Iterator[SystemDatabase]:
    """The system database."""
    with opened(database_url) as store:
        yield store


@pytest.fixture
def sql(database_url: str) -> Iterator[Bystander]:
    """A connection of a bystander."""
    with bystander(database_url) as connection:
        yield connection


@dataclass(frozen=True)
class Waiting:
    """A workflow that waits."""

    priority: int
    version: str | None
    key: str | None
    application: str | None


@dataclass(frozen=True)
class Act:
    """One executor claims at most so many; or, without a number, ends everything that it runs."""

    executor: str
    most: int | None


def _is_possible(limits: QueueLimits) -> bool:
    try:
        check_limits(limits)
    except ValueError:
        return False
    return True


_COUNT = st.none() | st.integers(1, 5)
LIMITS = st.builds(
    lambda concurrency, worker, rate, lane, lane_worker, lane_rate: QueueLimits(
        concurrency=concurrency,
        worker_concurrency=worker,
        rate_limit=rate,
        rate_period_seconds=None if rate is None else _HOUR,
        partition_concurrency=lane,
        partition_worker_concurrency=lane_worker,
        partition_rate_limit=lane_rate,
        partition_rate_period_seconds=None if lane_rate is None else _HOUR,
    ),
    _COUNT,
    _COUNT,
    st.none() | st.integers(1, 12),
    _COUNT,
    _COUNT,
    st.none() | st.integers(1, 8),
).filter(_is_possible)
ROWS = st.lists(
    st.builds(
        Waiting,
        priority=st.integers(0, 3),
        version=st.sampled_from(["v1", "v1", None, "v2"]),
        key=st.sampled_from(["a", "b", "c", None]),
        application=st.sampled_from(["orders", "orders", None, "shop"]),
    ),
    min_size=1,
    max_size=25,
)
ACTS = st.lists(
    st.builds(Act, executor=st.sampled_from(["one", "two"]), most=st.none() | st.integers(1, 9)),
    min_size=1,
    max_size=8,
)


@dataclass
class Model:
    """What must be so: which rows wait, run, and were started."""

    limits: QueueLimits
    waiting: dict[str, Waiting]
    """By ID, in the order of their creation."""
    running: dict[str, tuple[str, Waiting]] = field(default_factory=dict)
    """By ID: the executor, and what it runs."""
    started: list[Waiting] = field(default_factory=list)

    def eligible(self) -> list[str]:
        """What an executor of `orders` and `v1` may run, best first."""
        ids = [
            workflow_id
            for workflow_id, row in self.waiting.items()
            if row.version in {None, "v1"}
            and row.application in {None, "orders"}
            and (row.key is not None or not self.limits.partitioned)
        ]
        return sorted(ids, key=lambda workflow_id: self.waiting[workflow_id].priority)  # stable: the oldest first

    def of_executor(self, executor: str) -> int:
        """How much one runs."""
        return sum(owner == executor for owner, _ in self.running.values())

    def lane_slots(self, executor: str, limit: int) -> dict[str, int]:
        """How much of each partition an executor may take as far as its own limit says."""
        most = self.limits.partition_worker_concurrency
        own = Counter(row.key for owner, row in self.running.values() if owner == executor)
        keys = {self.waiting[workflow_id].key for workflow_id in self.eligible()}
        slots = {key: limit if most is None else min(limit, most - own[key]) for key in keys if key is not None}
        return {key: count for key, count in slots.items() if count > 0}

    def budget(self) -> int:
        """What the limits of the whole queue leave."""
        limits = self.limits
        concurrency = 10**6 if limits.concurrency is None else limits.concurrency - len(self.running)
        rate = 10**6 if limits.rate_limit is None else limits.rate_limit - len(self.started)
        return max(0, min(concurrency, rate))

    def lane_budget(self, key: str) -> int:
        """What the limits of each partition leave of one."""
        limits = self.limits
        runs = sum(row.key == key for _, row in self.running.values())
        starts = sum(row.key == key for row in self.started)
        concurrency = 10**6 if limits.partition_concurrency is None else limits.partition_concurrency - runs
        rate = 10**6 if limits.partition_rate_limit is None else limits.partition_rate_limit - starts
        return max(0, min(concurrency, rate))

    def expected(self, limit: int, lanes: dict[str, int]) -> int:
        """How many workflows a claim takes: neither fewer nor more."""
        if not self.limits.partitioned:
            return min(limit, self.budget(), len(self.eligible()))
        waits = Counter(self.waiting[workflow_id].key for workflow_id in self.eligible())
        takeable = sum(min(slots, self.lane_budget(key), waits[key]) for key, slots in lanes.items())
        return min(limit, self.budget(), takeable)

    def best(self, claimed: list[str]) -> bool:
        """Whether what was claimed is the best of all that waits, in each partition if there are any."""
        order = self.eligible()
        if not self.limits.partitioned:
            return claimed == order[: len(claimed)]
        for key in {self.waiting[workflow_id].key for workflow_id in claimed}:
            lane = [workflow_id for workflow_id in order if self.waiting[workflow_id].key == key]
            taken = [workflow_id for workflow_id in claimed if self.waiting[workflow_id].key == key]
            if taken != lane[: len(taken)]:
                return False
        return True

    def start(self, executor: str, claimed: list[str]) -> None:
        """Note what was claimed."""
        for workflow_id in claimed:
            row = self.waiting.pop(workflow_id)
            self.running[workflow_id] = (executor, row)
            self.started.append(row)

    def end(self, executor: str) -> list[str]:
        """Note that everything of an executor ended; the IDs."""
        ended = [workflow_id for workflow_id, (owner, _) in self.running.items() if owner == executor]
        for workflow_id in ended:
            del self.running[workflow_id]
        return ended


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limits=LIMITS, rows=ROWS, acts=ACTS)
def test_claims_take_the_best_and_all_that_the_limits_leave(
    database: SystemDatabase, sql: Bystander, limits: QueueLimits, rows: list[Waiting], acts: list[Act]
) -> None:
    queue = f"queue-{next(_numbers)}"
    database.run(lambda: register_queue(queue, limits, "orders", update=True, now_ms=1))
    model = Model(limits, {f"{queue}-{number}": row for number, row in enumerate(rows)})
    for created_at, (workflow_id, row) in enumerate(model.waiting.items()):
        sql.execute(
            "INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, application_name,"
            " application_version, priority, created_at, queue_partition_key)"
            " VALUES (%s, 'ENQUEUED', 'f', %s, %s, %s, %s, %s, %s)",
            [workflow_id, queue, row.application, row.version, row.priority, created_at, row.key],
        )
    for act in acts:
        if act.most is None:
            for workflow_id in model.end(act.executor):
                sql.execute(
                    "UPDATE dbos.workflow_status SET status = 'SUCCESS', owner_xid = NULL WHERE workflow_uuid = %s",
                    [workflow_id],
                )
            continue
        limit = claim_budget(limits, running=model.of_executor(act.executor), batch=act.most)
        if limit < 1:
            continue
        lanes = model.lane_slots(act.executor, limit) if limits.partitioned else {}
        if limits.partitioned:
            found = database.run(partial(list_partitions, queue, "orders", after="", limit=100))
            assert set(lanes) <= set(found)
        wanted = model.expected(limit, lanes)
        claimed = _claim(database, queue, limits, act.executor, limit, lanes)
        assert len(claimed) == wanted
        assert model.best(claimed)
        model.start(act.executor, claimed)
    stored = sql.execute(
        "SELECT workflow_uuid, executor_id FROM dbos.workflow_status WHERE status = 'PENDING' AND queue_name = %s",
        [queue],
    ).fetchall()
    owners = {workflow_id: executor for workflow_id, (executor, _) in model.running.items()}
    assert {row["workflow_uuid"]: row["executor_id"] for row in stored} == owners


def _claim(
    database: SystemDatabase, queue: str, limits: QueueLimits, executor: str, limit: int, lanes: dict[str, int]
) -> list[str]:
    """The IDs that a claim takes, in the order in which they are given."""
    request = ClaimRequest(
        queue=queue, limits=limits, owner=OwnerToken(f"owner-{next(_numbers)}"), limit=limit, skipped=[], lanes=lanes
    )
    statement = claim_statement(request, a_claimant(executor), now_ms=0)

    def single() -> Operation[list[Row]]:
        return (yield statement)

    rows = database.take_turn(statement) if limits.shared else database.run(single)
    return [row["workflow_uuid"] for row in rows]
