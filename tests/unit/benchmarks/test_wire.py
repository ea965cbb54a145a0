"""The relay counts what passes, in whatever pieces it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.suite.wire import Conversation, Count


def a_message(kind: str, payload: bytes = b"") -> bytes:
    return kind.encode() + (len(payload) + 4).to_bytes(4, "big") + payload


ANSWERS = b"".join(
    [
        a_message("C", b"BEGIN\0"),
        a_message("D", b"a row with a Z in it"),
        a_message("C", b"SELECT 1\0"),
        a_message("Z", b"T"),
        a_message("C", b"INSERT 0 5\0"),
        a_message("C", b"COMMIT\0"),
        a_message("Z", b"I"),
    ]
)


@given(st.lists(st.integers(min_value=1, max_value=7), min_size=len(ANSWERS), max_size=len(ANSWERS)))
def test_statements_are_counted_in_whatever_pieces_they_come(sizes: list[int]) -> None:
    count = Count()
    conversation = Conversation(count)
    position = 0
    for size in sizes:
        conversation.answered(ANSWERS[position : position + size])
        position += size

    assert count.statements == 2


def test_a_round_trip_begins_when_the_client_speaks_after_an_answer() -> None:
    count = Count()
    conversation, other = Conversation(count), Conversation(count)

    conversation.asked(b"several requests ")
    conversation.asked(b"in two pieces")
    assert count.round_trips == 1
    conversation.answered(ANSWERS)
    conversation.answered(ANSWERS)
    conversation.asked(b"the next one")
    other.asked(b"on another connection")
    assert count.round_trips == 3
