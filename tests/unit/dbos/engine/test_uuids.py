"""Fresh IDs: unique, and those of workflows in order."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

import pytest

from dbos.engine.uuids import OrderedUuids, new_uuid, new_workflow_id

NOW = 1_800_000_000_000


def _at(monkeypatch: pytest.MonkeyPatch, milliseconds: int) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: milliseconds * 1_000_000)


def _milliseconds(made: str) -> int:
    return UUID(made).int >> 80


def test_it_is_of_version_7_and_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    made = new_workflow_id()
    assert (UUID(made).version, UUID(made).variant) == (7, RFC_4122)
    assert str(UUID(made)) == made
    assert before <= _milliseconds(made) <= time.time_ns() // 1_000_000


def test_of_many_in_one_millisecond_each_is_greater_than_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    _at(monkeypatch, NOW)
    maker = OrderedUuids()
    made = [maker.make() for _ in range(5000)]
    assert made == sorted(set(made))
    assert {UUID(each).version for each in made} == {7}
    assert _milliseconds(made[-1]) <= NOW + 2


def test_a_clock_that_goes_back_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    maker = OrderedUuids()
    _at(monkeypatch, NOW)
    first = maker.make()
    _at(monkeypatch, NOW - 60_000)
    second = maker.make()
    _at(monkeypatch, NOW + 1)
    third = maker.make()
    assert first < second < third
    assert [_milliseconds(made) for made in (first, second, third)] == [NOW, NOW, NOW + 1]


def test_threads_share_none() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_workflow_id(), range(4000)))
    assert len(set(made)) == 4000


def test_other_ids_tell_nothing() -> None:
    assert {UUID(new_uuid()).version for _ in range(10)} == {4}
