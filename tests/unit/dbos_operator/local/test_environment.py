"""What a pod finds in its environment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from dbos_operator.local.environment import (
    PodFacts,
    UnresolvedReferenceError,
    expand,
    expand_all,
    resolve_environment,
    unresolved,
)
from dbos_operator.local.templates import PodTemplate, parse_template

FACTS = PodFacts(name="worker-abcde", namespace="orders", uid="u1", labels={"app": "worker"}, annotations={"team": "a"})
DATA = {("Secret", "db"): {"url": b"postgresql://x", "other": b"1"}, ("ConfigMap", "names"): {"A": b"a"}}


def lookup(kind: str, name: str) -> Mapping[str, bytes] | None:
    return DATA.get((kind, name))


def a_template(env: list[Any] | None = None, env_from: list[Any] | None = None) -> PodTemplate:
    container = {"name": "c", "command": ["run"], "env": env or [], "envFrom": env_from or []}
    return parse_template({"metadata": {"labels": {}}, "spec": {"containers": [container]}})


def resolve(env: list[Any] | None = None, env_from: list[Any] | None = None, **own: str) -> dict[str, str]:
    return resolve_environment(a_template(env, env_from), FACTS, lookup, own)


def ref(kind: str, **values: Any) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {kind: values}}


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ({"name": "X", "value": "plain"}, "plain"),
        ({"name": "X"}, ""),
        (ref("secretKeyRef", name="db", key="url"), "postgresql://x"),
        (ref("configMapKeyRef", name="names", key="A"), "a"),
        (ref("fieldRef", fieldPath="metadata.name"), "worker-abcde"),
        (ref("fieldRef", fieldPath="metadata.namespace"), "orders"),
        (ref("fieldRef", fieldPath="metadata.uid"), "u1"),
        (ref("fieldRef", fieldPath="metadata.labels['app']"), "worker"),
        (ref("fieldRef", fieldPath="metadata.annotations['team']"), "a"),
        (ref("fieldRef", fieldPath="metadata.labels['none']"), ""),
        (ref("fieldRef", fieldPath="status.podIP"), "127.0.0.1"),
    ],
)
def test_each_kind_of_variable_is_resolved(entry: dict[str, Any], value: str) -> None:
    assert resolve([entry]) == {"X": value}


def test_the_manifest_wins_over_what_the_operator_gives_and_later_entries_over_earlier_ones() -> None:
    env = resolve([{"name": "A", "value": "env"}], [{"configMapRef": {"name": "names"}}], A="own", B="own")

    assert env == {"A": "env", "B": "own"}


def test_whole_secrets_and_config_maps_come_with_a_prefix() -> None:
    env = resolve(env_from=[{"prefix": "P_", "secretRef": {"name": "db"}}, {"configMapRef": {"name": "names"}}])

    assert env == {"P_url": "postgresql://x", "P_other": "1", "A": "a"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)/$(B)", "1/$(B)"),
        ("$$(A)", "$(A)"),
        ("$A ${A} $", "$A ${A} $"),
        ("$$$(A)", "$1"),
    ],
)
def test_variables_are_expanded_as_a_kubelet_does(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


def test_variables_see_those_before_them_and_so_does_the_command() -> None:
    env = resolve([{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}])

    assert expand_all(["run", "$(B)"], env) == ("run", "12")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (ref("secretKeyRef", name="none", key="url"), "Secret orders/none is not in the folder"),
        (ref("secretKeyRef", name="db", key="none"), "Secret orders/db has no key none"),
        (ref("configMapKeyRef", name="none", key="A"), "ConfigMap orders/none is not in the folder"),
    ],
)
def test_a_reference_without_a_value_is_said(entry: dict[str, Any], message: str) -> None:
    assert list(unresolved(a_template([entry]), "orders", lookup)) == [f"X: {message}"]
    with pytest.raises(UnresolvedReferenceError, match=message):
        resolve([entry])


def test_an_optional_reference_without_a_value_leaves_the_variable_out() -> None:
    assert resolve([ref("secretKeyRef", name="none", key="url", optional=True)]) == {}
    assert resolve(env_from=[{"secretRef": {"name": "none", "optional": True}}]) == {}


def test_the_grace_period_is_that_of_the_pod() -> None:
    template = parse_template(
        {
            "metadata": {"labels": {}},
            "spec": {"terminationGracePeriodSeconds": 5, "containers": [{"name": "c", "command": ["run"]}]},
        }
    )

    assert template.grace_period == timedelta(seconds=5)
