"""One process of an application tells the depths of queues, and another one when it is gone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from dbos.observability.depths import FIRST_LEASE_SECONDS, LEASE_SECONDS, MOST_UNREGISTERED, QueueDepths
from dbos.observability.labels import OTHER, BoundedLabel
from dbos.store.depths import QueueDepth

WORK = QueueDepth(name="work", registered=True, enqueued=3, pending=1, delayed=2, oldest_ms=5000)
GONE = QueueDepth(name="gone", registered=False, enqueued=4, pending=0, delayed=1, oldest_ms=7000)


@dataclass
class Database:
    """The duty of all processes, and a clock that the test moves."""

    now: float = 100.0
    holder: str | None = None
    until: float = 0.0
    readings: int = 0
    takes: float = 0.0
    depths: Sequence[QueueDepth] = (WORK,)
    leases: list[float] = field(default_factory=list)
    broken: bool = False

    def process(self, name: str) -> QueueDepths:
        """A process that is scraped."""
        return QueueDepths(self.read, lambda seconds: self.hold(name, seconds), clock=lambda: self.now)

    def hold(self, name: str, seconds: float) -> bool:
        """As hold_duty."""
        if self.broken:
            raise ConnectionError("no database")
        if self.holder in {None, name} or self.until <= self.now:
            self.holder, self.until = name, self.now + seconds
            self.leases.append(seconds)
        return self.holder == name

    def read(self) -> Sequence[QueueDepth]:
        """As load_depths."""
        self.readings += 1
        self.now += self.takes
        return self.depths


def _samples(process: QueueDepths) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("dbos_"), *sample.labels.values()): sample.value
        for family in process.collect()
        for sample in family.samples
    }


def test_the_holder_tells_depths_ages_and_what_nobody_can_take() -> None:
    stuck = QueueDepth(
        name="lanes", registered=True, enqueued=9, pending=0, delayed=0, oldest_ms=9000, keyless=2, refused=3
    )
    assert _samples(Database(depths=(WORK, GONE, stuck)).process("one")) == {
        ("queue_depth", "work", "ENQUEUED"): 3,
        ("queue_depth", "work", "PENDING"): 1,
        ("queue_depth", "work", "DELAYED"): 2,
        ("queue_depth", "gone", "ENQUEUED"): 4,
        ("queue_depth", "gone", "PENDING"): 0,
        ("queue_depth", "gone", "DELAYED"): 1,
        ("queue_depth", "lanes", "ENQUEUED"): 9,
        ("queue_depth", "lanes", "PENDING"): 0,
        ("queue_oldest_enqueued_timestamp_seconds", "work"): 5,
        ("queue_oldest_enqueued_timestamp_seconds", "gone"): 7,
        ("queue_oldest_enqueued_timestamp_seconds", "lanes"): 9,
        ("undispatchable_workflows", "gone", "unregistered queue"): 5,
        ("undispatchable_workflows", "lanes", "no partition key"): 2,
        ("undispatchable_workflows", "lanes", "unknown function"): 3,
    }


def test_of_several_processes_one_tells_so_that_a_sum_counts_nothing_twice() -> None:
    database = Database()
    processes = [database.process(name) for name in ("one", "two", "three")]
    for _ in range(5):
        told = [len(_samples(process)) for process in processes]
        assert told == [4, 0, 0]
        database.now += 30


def test_another_process_takes_over_when_the_holder_is_not_scraped_any_more() -> None:
    database = Database()
    first, second = database.process("one"), database.process("two")
    for _ in range(3):
        _samples(first)
        _samples(second)
        database.now += 30
    database.now += 44  # 2.5 scrapes after the last one of the holder, less a second
    assert _samples(second) == {}
    database.now += 6
    assert _samples(second) != {}
    database.now += 6
    assert _samples(first) == {}


def test_the_duty_lasts_for_some_scrapes_however_far_they_are_apart() -> None:
    database = Database()
    process = database.process("one")
    for pause in (60, 1000, 5.5, 5.5, 5.5, 5.5):
        _samples(process)
        database.now += pause
    _samples(process)
    longest = LEASE_SECONDS[1]
    assert database.leases == [FIRST_LEASE_SECONDS, 150, longest, longest, longest, longest, LEASE_SECONDS[0]]


def test_a_second_prometheus_does_not_shorten_the_duty() -> None:
    database = Database()
    process = database.process("one")
    for _ in range(4):
        for pause in (7, 23):
            _samples(process)
            database.now += pause
    assert min(database.leases[2:]) == 23 * 2.5


def test_scrapes_close_together_share_one_reading() -> None:
    database = Database()
    process = database.process("one")
    for _ in range(4):
        assert _samples(process) != {}
        database.now += 1
    assert database.readings == 1
    database.now += 2
    _samples(process)
    assert database.readings == 2


def test_a_reading_that_takes_long_is_made_less_often() -> None:
    database = Database(takes=2.0)
    process = database.process("one")
    _samples(process)
    database.now += 39
    _samples(process)
    assert database.readings == 1
    database.now += 2
    _samples(process)
    assert database.readings == 2


def test_without_a_database_nothing_is_told_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    database = Database()
    process = database.process("one")
    assert _samples(process) != {}
    database.broken, database.now = True, database.now + 60
    with caplog.at_level(logging.WARNING, "dbos"):
        assert _samples(process) == {}
    assert "no database" in caplog.text
    database.broken, database.now = False, database.now + 60
    assert _samples(process) != {}


def test_names_of_queues_that_nobody_registered_have_a_bound() -> None:
    strange = [
        QueueDepth(name=f"customer-{number:04}", registered=False, enqueued=2, pending=1, delayed=0, oldest_ms=number)
        for number in range(1, MOST_UNREGISTERED + 4)
    ]
    samples = _samples(Database(depths=(*strange, WORK)).process("one"))
    named = {name[1] for name in samples}
    assert len(named) == MOST_UNREGISTERED + 2
    assert samples["queue_depth", OTHER, "ENQUEUED"] == 6
    assert samples["queue_depth", OTHER, "PENDING"] == 3
    assert samples["undispatchable_workflows", OTHER, "unregistered queue"] == 6
    assert samples["queue_oldest_enqueued_timestamp_seconds", OTHER] == (MOST_UNREGISTERED + 1) / 1000


def test_a_label_lets_the_first_values_through_and_calls_the_others_by_one_name() -> None:
    label = BoundedLabel(2)
    assert [label(value) for value in ("a", "b", "c", "a", "d", "b")] == ["a", "b", OTHER, "a", OTHER, "b"]
