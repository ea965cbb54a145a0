"""A pod template as values: the command and environment that a local process gets of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dbos_operator.errors import OperatorError

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_DEFAULT_GRACE_SECONDS = 30
_KEYED_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_FIELDS = ("metadata.name", "metadata.namespace", "metadata.uid", "status.podIP")


class InvalidTemplateError(OperatorError):
    """A pod template that cannot run here. `path` says which field of it."""

    def __init__(self, path: Sequence[str | int], sentence: str) -> None:
        super().__init__(sentence)
        self.path = tuple(path)


@dataclass(frozen=True, slots=True)
class KeyRef:
    """One key of a Secret or a ConfigMap."""

    kind: str
    name: str
    key: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class FieldRef:
    """One field of the pod; `labels` and `annotations` have a key."""

    field: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """One entry of `env`."""

    name: str
    value: str | KeyRef | FieldRef


@dataclass(frozen=True, slots=True)
class VariableSource:
    """One entry of `envFrom`: every key of a Secret or a ConfigMap."""

    kind: str
    name: str
    prefix: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTemplate:
    """What the pods of a workload run."""

    argv: tuple[str, ...]
    sources: tuple[VariableSource, ...] = ()
    variables: tuple[Variable, ...] = ()
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    grace_period: timedelta
    ignored: tuple[str, ...] = ()
    """Names of the containers that do not run here."""


def parse_template(template: Mapping[str, Any]) -> PodTemplate:
    """The template of a workload whose fields have the right types. Raises InvalidTemplateError."""
    spec, metadata = template["spec"], template["metadata"]
    containers = spec["containers"]
    wanted = (metadata.get("annotations") or {}).get(DEFAULT_CONTAINER, containers[0]["name"])
    names = [container["name"] for container in containers]
    if wanted not in names:
        raise InvalidTemplateError(
            ("metadata", "annotations"), f"{DEFAULT_CONTAINER}: expected one of {', '.join(names)}, got {wanted!r}"
        )
    index = names.index(wanted)
    path, container = ("spec", "containers", index), containers[index]
    command = container.get("command")
    if not command:
        raise InvalidTemplateError(
            (*path, "command"), "expected the command to run: no image is pulled without a cluster"
        )
    grace = spec.get("terminationGracePeriodSeconds")
    return PodTemplate(
        argv=(*command, *(container.get("args") or ())),
        sources=tuple(
            _parse_source((*path, "envFrom", number), source)
            for number, source in enumerate(container.get("envFrom") or ())
        ),
        variables=tuple(
            _parse_variable((*path, "env", number), variable)
            for number, variable in enumerate(container.get("env") or ())
        ),
        labels=dict(metadata.get("labels") or {}),
        annotations=dict(metadata.get("annotations") or {}),
        grace_period=timedelta(seconds=_DEFAULT_GRACE_SECONDS if grace is None else grace),
        ignored=tuple(name for number, name in enumerate(names) if number != index),
    )


def _parse_source(path: Sequence[str | int], source: Mapping[str, Any]) -> VariableSource:
    for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
        if reference := source.get(field):
            optional = bool(reference.get("optional"))
            return VariableSource(kind, reference["name"], source.get("prefix") or "", optional)
    raise InvalidTemplateError(path, "expected secretRef or configMapRef")


def _parse_variable(path: Sequence[str | int], variable: Mapping[str, Any]) -> Variable:
    name, source = variable["name"], variable.get("valueFrom")
    if not source:
        return Variable(name, variable.get("value") or "")
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if reference := source.get(field):
            return Variable(name, KeyRef(kind, reference["name"], reference["key"], bool(reference.get("optional"))))
    field_path = source["fieldRef"]["fieldPath"]
    if found := _KEYED_FIELD.fullmatch(field_path):
        return Variable(name, FieldRef(found[1], found[2]))
    if field_path not in _FIELDS:
        expected = ", ".join((*_FIELDS, "metadata.labels['KEY']", "metadata.annotations['KEY']"))
        raise InvalidTemplateError(
            (*path, "valueFrom", "fieldRef", "fieldPath"), f"expected one of {expected}, got {field_path!r}"
        )
    return Variable(name, FieldRef(field_path))
