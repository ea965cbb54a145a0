"""Events are counted when they repeat and bounded when they are many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dbos_operator.cluster.events import (
    BURST,
    REFILL,
    REMEMBERED,
    EventBook,
    Letter,
    Occurrence,
    Series,
    event_body,
    rfc3339,
)
from dbos_operator.cluster.protocol import EventType
from dbos_operator.resources.identity import Identity, Kind, ObjectKey, Uid

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_occurrence(message: str = "made it", uid: str = "u") -> Occurrence:
    return Occurrence(Uid(uid), EventType.NORMAL, "Created", message)


def test_an_object_may_have_a_burst_and_then_one_more_every_refill() -> None:
    book = EventBook()
    admitted = [book.admit(an_occurrence(str(number)), NOON) for number in range(BURST + 5)]

    assert admitted == [True] * BURST + [False] * 5
    assert book.admit(an_occurrence("later"), NOON + REFILL)
    assert not book.admit(an_occurrence("too soon"), NOON + REFILL)


def test_one_noisy_object_takes_nothing_from_another() -> None:
    book = EventBook()
    for number in range(BURST + 1):
        book.admit(an_occurrence(str(number), uid="noisy"), NOON)

    assert book.admit(an_occurrence(uid="quiet"), NOON)


def test_what_was_posted_is_found_again_and_other_words_are_not() -> None:
    book = EventBook()
    book.note(an_occurrence(), Series("emails.1", 1))

    assert book.find(an_occurrence()) == Series("emails.1", 1)
    assert book.find(an_occurrence("other words")) is None


def test_memory_is_bounded_and_keeps_the_newest() -> None:
    book = EventBook()
    for number in range(REMEMBERED + 10):
        book.note(an_occurrence(str(number)), Series(str(number), 1))
        book.admit(an_occurrence(uid=str(number)), NOON + timedelta(seconds=number))

    assert book.find(an_occurrence("0")) is None
    assert book.find(an_occurrence(str(REMEMBERED + 9))) is not None


def test_an_event_names_its_object_and_its_reporter() -> None:
    identity = Identity(
        kind=Kind.QUEUE,
        key=ObjectKey("orders", "emails"),
        uid=Uid("u"),
        generation=1,
        resource_version="7",
        created_at=NOON,
    )

    body = event_body(Letter(identity, an_occurrence(), NOON), name="emails.1", instance="pod-1")

    assert body["involvedObject"]["kind"] == "DBOSQueue"
    assert body["involvedObject"]["name"] == "emails"
    assert (body["source"], body["reportingComponent"]) == ({"component": "dbos-operator"}, "dbos-operator")
    assert body["firstTimestamp"] == body["lastTimestamp"] == rfc3339(NOON) == "2026-01-01T12:00:00Z"
