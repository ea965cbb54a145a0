"""Identifiers, and what text may be one."""

from __future__ import annotations

from typing import Any

import pytest

from dbos.core.ids import WorkflowId, check_name, check_text, check_topic, child_workflow_id
from dbos.core.outcome import Outcome


def test_a_child_has_the_same_id_each_time_its_parent_runs() -> None:
    assert child_workflow_id(WorkflowId("parent"), 3) == "parent-3"
    assert child_workflow_id(child_workflow_id(WorkflowId("p"), 1), 2) == "p-1-2"


@pytest.mark.parametrize("text", ["a", "Ä ö", "日本語", "🙂", "with\nlines", "-", "a" * 10_000])
def test_any_text_that_can_be_stored_is_an_id(text: str) -> None:
    assert check_text(text, subject="ID") == text


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (None, TypeError, "thing: expected text, got NoneType"),
        (b"x", TypeError, "thing: expected text, got bytes"),
        ("", ValueError, "thing: expected text that is not blank"),
        (" \t\n", ValueError, "thing: expected text that is not blank"),
        ("a\0b", ValueError, "thing: expected text without NUL"),
        ("a\ud800", ValueError, "thing: expected text without NUL and lone surrogates"),
    ],
)
def test_other_values_are_refused_and_named(value: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        check_text(value, subject="thing")
    with pytest.raises(kind, match=said):
        check_name(value, subject="thing")


def test_names_that_dbos_keeps_for_itself_are_refused() -> None:
    with pytest.raises(ValueError, match="reserved"):
        check_name("_dbos_internal_queue", subject="queue name")
    assert check_name("_mine", subject="queue name") == "_mine"


def test_an_outcome_gives_its_value_or_raises_its_error() -> None:
    assert Outcome(5).unwrap() == 5
    with pytest.raises(KeyError):
        Outcome(error=KeyError("x")).unwrap()


@pytest.mark.parametrize("text", ["", " ", "a::b", "__null__topic__", "日本語"])
def test_a_topic_may_be_blank(text: str) -> None:
    assert check_topic(text, subject="topic") == text


@pytest.mark.parametrize(("value", "kind"), [(None, TypeError), (5, TypeError), ("a\0b", ValueError)])
def test_a_topic_is_text_that_can_be_stored(value: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="topic: expected text"):
        check_topic(value, subject="topic")
