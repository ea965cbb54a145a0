"""News as notifications, each small enough for PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dbos.engine.waiting import Signals
from dbos.engine.wakeups import MAX_PAYLOAD_BYTES, Listener, payloads, schedule_news


def test_queues_are_told_one_by_one_and_ends_together() -> None:
    told = [json.loads(text) for text in payloads("dbos", {"b", "a"}, ["one", "two"])]
    assert told == [
        {"schema": "dbos", "queues": ["a"]},
        {"schema": "dbos", "queues": ["b"]},
        {"schema": "dbos", "done": ["one", "two"]},
    ]


def test_nothing_new_is_no_news() -> None:
    assert payloads("dbos", set(), []) == []


@given(st.lists(st.text(max_size=300), max_size=200), st.text(max_size=60))
def test_every_end_that_fits_is_told_once_in_order_and_every_text_is_small(ended: list[str], schema: str) -> None:
    texts = payloads(schema, set(), ended)
    assert all(len(text.encode()) <= MAX_PAYLOAD_BYTES for text in texts)
    assert [workflow_id for text in texts for workflow_id in json.loads(text)["done"]] == ended


def test_many_ends_are_cut_into_several_notifications() -> None:
    ended = [f"{number:036}" for number in range(1000)]
    texts = payloads("dbos", set(), ended)
    assert 4 < len(texts) < 12
    assert [workflow_id for text in texts for workflow_id in json.loads(text)["done"]] == ended


def test_an_id_that_fits_nowhere_is_left_to_its_waiters_poll() -> None:
    told = [json.loads(text) for text in payloads("dbos", {"x" * 9000, "q"}, ["a", "x" * 9000, "b"])]
    assert {"schema": "dbos", "queues": ["q"]} in told
    assert [workflow_id for news in told for workflow_id in news.get("done", [])] == ["a", "b"]


def test_a_listener_hears_that_schedules_changed_in_its_own_schema() -> None:
    heard: list[str] = []
    source: Any = None
    listener = Listener(source, "dbos", Signals(), on_schedules=lambda: heard.append("schedules"))
    listener._hear(schedule_news("dbos"))
    listener._hear(schedule_news("other"))
    listener._hear(json.dumps({"schema": "dbos", "queues": ["q"]}))
    assert heard == ["schedules"]


def test_a_waiter_hears_of_its_own_workflow_only() -> None:
    signals = Signals()
    with signals.waiter("one") as one, signals.waiter("two") as two, signals.waiter("one") as also_one:
        signals.ring("one")
        assert [waiter.armed.done() for waiter in (one, two, also_one)] == [True, False, True]
        one.rearm()
        assert not one.armed.done()
        signals.ring_all()
        signals.ring_all()
        assert [waiter.armed.done() for waiter in (one, two, also_one)] == [True, True, True]
    signals.ring("one")


def test_news_between_looking_and_waiting_are_not_missed() -> None:
    signals = Signals()
    with signals.waiter("w") as waiter:
        waiter.rearm()
        signals.ring("w")
        assert waiter.armed.done()
