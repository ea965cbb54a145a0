"""Which applications a listing is of."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dbos.core.applications import listed_applications


@pytest.mark.parametrize(
    ("named", "own", "listed"),
    [
        (None, "orders", ["orders"]),
        (None, None, None),
        (None, "", None),
        (["shop"], "orders", ["shop"]),
        (["shop", "orders"], None, ["shop", "orders"]),
        ([], "orders", None),
    ],
)
def test_a_listing_is_of_those_named_or_of_ones_own(
    named: Sequence[str] | None, own: str | None, listed: Sequence[str] | None
) -> None:
    assert listed_applications(named, own) == listed
