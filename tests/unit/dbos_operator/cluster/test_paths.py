"""URL paths of objects."""

from __future__ import annotations

import pytest

from dbos_operator.cluster.paths import collection_path, core_path, resource_path, target_path
from dbos_operator.errors import NotFoundError
from dbos_operator.resources.identity import Kind, ObjectKey, TargetRef


def test_an_object_of_ours_is_found_by_its_plural() -> None:
    path = resource_path(Kind.SCHEDULE, ObjectKey("orders", "nightly"))
    assert path == "/apis/dbos.dev/v1beta1/namespaces/orders/dbosschedules/nightly"


def test_an_object_of_the_core_group_has_its_own_root() -> None:
    assert core_path("orders", "secrets", "db") == "/api/v1/namespaces/orders/secrets/db"


@pytest.mark.parametrize(("kind", "plural"), [("Deployment", "deployments"), ("StatefulSet", "statefulsets")])
def test_both_kinds_of_workload_can_be_scaled(kind: str, plural: str) -> None:
    assert target_path(TargetRef("orders", kind, "worker")) == f"/apis/apps/v1/namespaces/orders/{plural}/worker"


def test_any_other_kind_cannot() -> None:
    with pytest.raises(NotFoundError, match="neither a Deployment nor a StatefulSet"):
        target_path(TargetRef("orders", "DaemonSet", "worker"))


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    assert core_path("orders", "secrets", "a?b") == "/api/v1/namespaces/orders/secrets/a%3Fb"
    assert core_path("t1", "secrets", "../../t2/x") == "/api/v1/namespaces/t1/secrets/..%2F..%2Ft2%2Fx"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_a_server_would_resolve_is_no_name(name: str) -> None:
    with pytest.raises(NotFoundError, match="is not the name of an object"):
        core_path("orders", "secrets", name)


def test_a_collection_is_of_one_namespace_or_of_all() -> None:
    assert collection_path("/apis/apps/v1", "deployments", "orders") == "/apis/apps/v1/namespaces/orders/deployments"
    assert collection_path("/apis/apps/v1", "deployments", None) == "/apis/apps/v1/deployments"
