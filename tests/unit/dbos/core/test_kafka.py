"""The names of groups, workflows and lanes, as the published package gives them."""

from __future__ import annotations

import pytest

from dbos.core.kafka import KafkaOrdering, default_group_id, lane_of, message_workflow_id


@pytest.mark.parametrize(
    ("function", "topics", "group"),
    [
        ("w_none", ["t-none"], "dbos-kafka-group-wnone-t-none"),
        ("named-q", ["t-q"], "dbos-kafka-group-named-q-t-q"),
        ("w_async", ["^t-asy.*"], "dbos-kafka-group-wasync-t-asy"),
        ("My Wf.name-é_1", ["zeta.x", "al_pha"], "dbos-kafka-group-MyWfname-1-zetax-alpha"),
        ("x.<locals>.y", ["^a[0-9]+$"], "dbos-kafka-group-xlocalsy-a0-9"),
        ("K.st", ["s"], "dbos-kafka-group-Kst-s"),
    ],
)
def test_a_group_without_a_name_has_that_of_its_function_and_topics(
    function: str, topics: list[str], group: str
) -> None:
    assert default_group_id(function, topics) == group


def test_a_workflow_is_named_by_the_place_of_its_message() -> None:
    assert message_workflow_id("orders", 3, "billing", 17) == "kafka-unique-id-orders-3-billing-17"


@pytest.mark.parametrize(
    ("ordering", "lane"),
    [
        (KafkaOrdering.NONE, None),
        (KafkaOrdering.PARTITION, "billing:orders:3"),
        (KafkaOrdering.TOPIC, "billing:orders"),
    ],
)
def test_what_waits_for_each_other_has_a_lane_in_common(ordering: KafkaOrdering, lane: str | None) -> None:
    assert lane_of(ordering, "billing", "orders", 3) == lane
