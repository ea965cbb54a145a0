"""Answers of an API server become what `Cluster` promises to return or raise."""

from __future__ import annotations

import json

import pytest

from dbos_operator.cluster.client import GoneError, Request, Response, pause_before_retry, read_answer
from dbos_operator.errors import ClusterError, ClusterForbiddenError, ConflictError, NotFoundError, OperatorError

REQUEST = Request(method="PATCH", path="/apis/apps/v1/namespaces/orders/deployments/worker/scale")


def an_answer(status: int, message: str = "no", *, retry_after: str | None = None) -> Response:
    return Response(status=status, content=json.dumps({"message": message}).encode(), retry_after=retry_after)


def test_a_good_answer_is_its_object() -> None:
    assert read_answer(REQUEST, an_answer(200, "fine")) == {"message": "fine"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (401, ClusterForbiddenError),
        (403, ClusterForbiddenError),
        (422, ClusterError),
        (429, ClusterError),
        (500, ClusterError),
        (302, ClusterError),
    ],
)
def test_a_refusal_is_an_error_that_names_the_call_and_what_the_server_said(
    status: int, expected: type[OperatorError]
) -> None:
    with pytest.raises(expected, match=r"PATCH /apis/apps/v1/.*/worker/scale: .*because") as raised:
        read_answer(REQUEST, an_answer(status, "because"))
    assert type(raised.value) is expected


def test_an_object_that_was_replaced_under_its_name_is_a_conflict() -> None:
    message = 'Pod "a" is invalid: metadata.uid: Invalid value: "1": field is immutable'
    with pytest.raises(ConflictError):
        read_answer(REQUEST, an_answer(422, message))


def test_an_answer_that_is_not_json_is_quoted_in_one_short_line() -> None:
    page = Response(status=502, content=b"<html>\n<h1>Bad gateway</h1>" + b"x" * 5000, retry_after=None)
    with pytest.raises(ClusterError) as raised:
        read_answer(REQUEST, page)
    assert "<h1>Bad gateway</h1>" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(("status", "after", "pause"), [(429, "1", 1.0), (503, "0", 0.1), (500, "3", 3.0)])
def test_a_short_pause_that_the_server_asks_for_is_waited_out(status: int, after: str, pause: float) -> None:
    assert pause_before_retry(an_answer(status, retry_after=after)) == pause


@pytest.mark.parametrize(
    ("status", "after"), [(429, None), (429, "60"), (429, "Wed, 21 Oct 2026 07:28:00 GMT"), (404, "1"), (200, None)]
)
def test_any_other_answer_is_final(status: int, after: str | None) -> None:
    assert pause_before_retry(an_answer(status, retry_after=after)) is None
