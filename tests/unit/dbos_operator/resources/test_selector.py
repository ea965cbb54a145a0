"""A selector finds the same pods in the API, in a folder, and as it was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dbos_operator.resources.selector import Selector, UnknownSelectorError, parse_selector, read_selector


def an_expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def a_selector(*expressions: Mapping[str, Any], **labels: str) -> Selector:
    return parse_selector({"matchLabels": labels, "matchExpressions": list(expressions)})


WORKER = {"app": "worker", "tier": "fast"}


@pytest.mark.parametrize(
    ("expression", "text", "finds"),
    [
        (an_expression("tier", "In", "slow", "fast"), "tier in (fast,slow)", True),
        (an_expression("tier", "In", "slow"), "tier=slow", False),
        (an_expression("zone", "In", "a", "b"), "zone in (a,b)", False),
        (an_expression("tier", "NotIn", "slow", "fast"), "tier notin (fast,slow)", False),
        (an_expression("tier", "NotIn", "slow"), "tier!=slow", True),
        (an_expression("zone", "NotIn", "a", "b"), "zone notin (a,b)", True),
        (an_expression("tier", "Exists"), "tier", True),
        (an_expression("zone", "Exists"), "zone", False),
        (an_expression("tier", "DoesNotExist"), "!tier", False),
        (an_expression("zone", "DoesNotExist"), "!zone", True),
    ],
)
def test_an_expression_is_said_as_the_api_does_and_finds_what_it_finds(
    expression: dict[str, Any], text: str, finds: bool
) -> None:
    selector = a_selector(expression)

    assert selector.text == text
    assert selector.matches(WORKER) is finds


def test_labels_and_expressions_hold_together() -> None:
    selector = a_selector(an_expression("tier", "Exists"), app="worker")

    assert selector.text == "app=worker,tier"
    assert selector.matches(WORKER)
    assert not selector.matches({"app": "worker"})
    assert not selector.matches({"tier": "fast"})


def test_selectors_that_say_the_same_are_equal() -> None:
    one = a_selector(an_expression("tier", "In", "b", "a", "b"), an_expression("app", "In", "worker"))
    assert one == a_selector(an_expression("tier", "In", "a", "b"), app="worker")


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        {"matchLabels": {}, "matchExpressions": []},
        {"matchLabels": None, "matchExpressions": None},
        {"matchLabels": {"app": "worker"}, "matchExpressions": [an_expression("tier", "Gt", "3")]},
        {"matchLabels": {"app": "worker"}, "matchExpressions": [an_expression("tier", "In")]},
        {"matchLabels": {"app": "worker"}, "matchExpressions": [an_expression("tier", "Exists", "a")]},
        {"matchLabels": {"app": "worker"}, "matchFields": []},
    ],
)
def test_a_selector_that_cannot_be_read_as_a_whole_finds_neither_all_pods_nor_none(manifest: dict[str, Any]) -> None:
    selector = parse_selector(manifest)

    assert not selector.known
    with pytest.raises(UnknownSelectorError, match=r"spec\.selector: expected matchLabels"):
        _ = selector.text
    with pytest.raises(UnknownSelectorError):
        selector.matches(WORKER)


def test_labels_alone_are_recorded_as_earlier_versions_record_them() -> None:
    assert a_selector(app="worker", tier="fast").record() == WORKER
    assert read_selector(WORKER) == a_selector(app="worker", tier="fast")


@pytest.mark.parametrize(
    "selector",
    [
        Selector(),
        a_selector(app="worker"),
        a_selector(an_expression("tier", "In", "a", "b"), an_expression("old", "DoesNotExist"), app="worker"),
        a_selector(an_expression("app", "In", "other"), app="worker"),
        a_selector(matchExpressions="worker"),
    ],
)
def test_a_recorded_selector_is_the_same_when_it_is_read(selector: Selector) -> None:
    assert read_selector(selector.record()) == selector


def test_an_earlier_version_is_refused_by_the_api_with_what_it_cannot_read() -> None:
    record = a_selector(an_expression("tier", "Exists"), app="worker").record()

    query = ",".join(f"{label}={value}" for label, value in sorted(record.items()))

    assert query.startswith("matchExpressions=[{")
