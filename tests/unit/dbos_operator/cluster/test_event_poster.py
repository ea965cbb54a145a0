"""Events are posted behind the back of who reports them, in order, and never stop each other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from dbos_operator.cluster import events
from dbos_operator.cluster.events import EventPoster
from dbos_operator.cluster.protocol import EventType
from dbos_operator.errors import ClusterForbiddenError
from dbos_operator.resources.identity import Identity, Kind, ObjectKey, Uid

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Api:
    """Remembers what it was sent. Refuses Events with the reason Refused, and answers none with Lost."""

    def __init__(self) -> None:
        self.created: list[str] = []
        self.counted: list[int] = []

    async def create(self, path: str, body: Mapping[str, Any]) -> None:
        assert path == "/api/v1/namespaces/orders/events"
        if body["reason"] == "Lost":
            await asyncio.Event().wait()
        if body["reason"] == "Refused":
            raise ClusterForbiddenError("not here")
        self.created.append(body["message"])

    async def merge(self, path: str, body: Mapping[str, Any]) -> None:
        self.counted.append(body["count"])


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def poster(api: Api) -> EventPoster:
    return EventPoster(api, instance="pod-1", now=lambda: NOON)  # type: ignore[arg-type]


def an_identity(uid: str = "u") -> Identity:
    return Identity(
        kind=Kind.QUEUE,
        key=ObjectKey("orders", "emails"),
        uid=Uid(uid),
        generation=1,
        resource_version="7",
        created_at=NOON,
    )


async def test_reporting_waits_for_nobody(api: Api, poster: EventPoster) -> None:
    poster.post(an_identity(), EventType.NORMAL, "Created", "one")
    assert api.created == []

    await poster.drain()
    assert api.created == ["one"]
    await poster.close()


async def test_events_of_one_object_keep_their_order(api: Api, poster: EventPoster) -> None:
    messages = [f"message {number}" for number in range(20)]
    for message in messages:
        poster.post(an_identity(), EventType.NORMAL, "Created", message)
    await poster.close()

    assert api.created == messages


async def test_a_repetition_is_counted_even_when_the_first_is_still_on_its_way(api: Api, poster: EventPoster) -> None:
    for _ in range(3):
        poster.post(an_identity(), EventType.NORMAL, "Created", "again")
    await poster.close()

    assert (api.created, api.counted) == (["again"], [2, 3])


async def test_a_refusal_is_logged_and_stops_nothing(
    api: Api, poster: EventPoster, caplog: pytest.LogCaptureFixture
) -> None:
    poster.post(an_identity(), EventType.NORMAL, "Refused", "first")
    poster.post(an_identity(), EventType.NORMAL, "Created", "second")
    await poster.close()

    assert api.created == ["second"]
    assert "event could not be posted" in caplog.text


async def test_a_server_that_does_not_answer_holds_up_the_end_for_a_moment_only(
    poster: EventPoster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "CLOSING_TIME", 0.0)
    poster.post(an_identity(), EventType.NORMAL, "Lost", "one")

    await poster.close()

    assert "events left out" in caplog.text


async def test_what_waits_is_bounded(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "LANE_LENGTH", 2)
    poster = EventPoster(api, instance="pod-1", now=lambda: NOON)  # type: ignore[arg-type]
    for number in range(5):
        poster.post(an_identity(), EventType.NORMAL, "Created", str(number))
    await poster.close()

    assert api.created == ["0", "1"]
    assert caplog.text.count("too many wait") == 3


async def test_closing_without_any_event_is_quiet(poster: EventPoster, caplog: pytest.LogCaptureFixture) -> None:
    await poster.close()
    assert caplog.text == ""
