"""What the fields of a manifest may hold: our kinds by their CRDs, built-in ones as far as they are used here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

import dbos_operator
from dbos_operator.errors import OperatorError
from dbos_operator.resources.identity import API_VERSION, VERSION
from dbos_operator.resources.selector import SelectorOperator

_INT_OR_STRING = "x-kubernetes-int-or-string"
_ANYTHING = "x-kubernetes-preserve-unknown-fields"
_TEXT_MAP = {"type": ["object", "null"], "additionalProperties": {"type": "string"}}
_NAMED = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
_KEYED = {
    "type": "object",
    "required": ["name", "key"],
    "properties": {"name": {"type": "string"}, "key": {"type": "string"}, "optional": {"type": "boolean"}},
}
_FIELD = {"type": "object", "required": ["fieldPath"], "properties": {"fieldPath": {"type": "string"}}}
_TEXTS = {"type": ["array", "null"], "items": {"type": "string"}}
_CONTAINER = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "command": _TEXTS,
        "args": _TEXTS,
        "env": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "value": {"type": ["string", "null"]},
                    "valueFrom": {
                        "type": ["object", "null"],
                        "minProperties": 1,
                        "maxProperties": 1,
                        "properties": {"secretKeyRef": _KEYED, "configMapKeyRef": _KEYED, "fieldRef": _FIELD},
                        "additionalProperties": False,
                    },
                },
            },
        },
        "envFrom": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "properties": {"prefix": {"type": "string"}, "secretRef": _NAMED, "configMapRef": _NAMED},
            },
        },
    },
}
_SELECTOR = {
    "type": "object",
    "properties": {
        "matchLabels": _TEXT_MAP,
        "matchExpressions": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "required": ["key", "operator"],
                "properties": {
                    "key": {"type": "string", "minLength": 1},
                    "operator": {"enum": [operator.value for operator in SelectorOperator]},
                    "values": _TEXTS,
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
_WORKLOAD = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["selector", "template"],
            "properties": {
                "replicas": {"type": ["integer", "null"], "minimum": 0},
                "selector": _SELECTOR,
                "template": {
                    "type": "object",
                    "required": ["metadata", "spec"],
                    "properties": {
                        "metadata": {
                            "type": "object",
                            "required": ["labels"],
                            "properties": {"labels": {**_TEXT_MAP, "type": "object"}, "annotations": _TEXT_MAP},
                        },
                        "spec": {
                            "type": "object",
                            "required": ["containers"],
                            "properties": {
                                "containers": {"type": "array", "minItems": 1, "items": _CONTAINER},
                                "terminationGracePeriodSeconds": {"type": ["integer", "null"], "minimum": 0},
                            },
                        },
                    },
                },
            },
        }
    },
}
BUILT_IN: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Deployment": ("apps/v1", _WORKLOAD),
    "StatefulSet": ("apps/v1", _WORKLOAD),
    "Secret": ("v1", {"type": "object", "properties": {"data": _TEXT_MAP, "stringData": _TEXT_MAP}}),
    "ConfigMap": ("v1", {"type": "object", "properties": {"data": _TEXT_MAP, "binaryData": _TEXT_MAP}}),
}
"""The built-in kinds that mean something here: their apiVersion, and the fields that are read."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The first field of a manifest that its schema does not allow."""

    path: tuple[str | int, ...]
    sentence: str


class Schemas:
    """The schemas of every kind that is understood."""

    def __init__(self, own: Mapping[str, Mapping[str, Any]]) -> None:
        """`own` holds the openAPIV3Schema of each of our kinds."""
        self._versions = dict.fromkeys(own, API_VERSION) | {kind: version for kind, (version, _) in BUILT_IN.items()}
        schemas = {kind: strict(schema) for kind, schema in own.items()} | {
            kind: schema for kind, (_, schema) in BUILT_IN.items()
        }
        self._validators = {kind: jsonschema.Draft202012Validator(schema) for kind, schema in schemas.items()}

    def knows(self, kind: str) -> bool:
        """Whether objects of that kind mean something here."""
        return kind in self._versions

    def api_version(self, kind: str) -> str:
        """The one apiVersion of a kind that is understood."""
        return self._versions[kind]

    def check(self, kind: str, body: Mapping[str, Any]) -> Fault | None:
        """What the API server would refuse first, top to bottom, or None."""
        errors = sorted(self._validators[kind].iter_errors(body), key=lambda error: [str(step) for step in error.path])
        return _fault(errors[0]) if errors else None


def load_schemas() -> Schemas:
    """The schemas that this version of the operator brings along."""
    folder = crd_folder()
    own = {}
    for file in sorted(folder.glob("*.yaml")):
        crd = yaml.safe_load(file.read_text())
        served = {version["name"]: version for version in crd["spec"]["versions"]}
        own[crd["spec"]["names"]["kind"]] = served[VERSION]["schema"]["openAPIV3Schema"]
    return Schemas(own)


def crd_folder() -> Path:
    """Where the CRDs are: inside the installed package, or at the top of a checkout."""
    package = Path(dbos_operator.__file__).parent
    for folder in (package / "crds", package.parents[1] / "crds"):
        if folder.is_dir():
            return folder
    raise OperatorError(f"the CRDs are missing beside {package}: install the package again")


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A CRD's schema as plain JSON Schema that refuses unknown fields, as `kubectl apply` does.

    `null` means an absent field there, so it is allowed everywhere here.
    """
    known = {name: value for name, value in schema.items() if not name.startswith("x-") and name != "default"}
    if schema.get(_INT_OR_STRING):
        known["type"] = ["integer", "string", "null"]
    elif "type" in known:
        known["type"] = [known["type"], "null"]
    if "enum" in known:
        known["enum"] = [*known["enum"], None]
    if "properties" in known:
        known["properties"] = {name: strict(field) for name, field in known["properties"].items()}
        known["properties"].update(
            {name: {} for name in ("apiVersion", "kind", "metadata") if name in known["properties"]}
        )
        if not schema.get(_ANYTHING):
            known.setdefault("additionalProperties", False)
    if isinstance(known.get("additionalProperties"), Mapping):
        known["additionalProperties"] = strict(known["additionalProperties"])
    if isinstance(known.get("items"), Mapping):
        known["items"] = strict(known["items"])
    return known


def _fault(error: Any) -> Fault:
    path = tuple(error.absolute_path)
    match error.validator:
        case "additionalProperties":
            allowed = error.schema.get("properties", {})
            unknown = next(name for name in error.instance if name not in allowed)
            return Fault((*path, unknown), f"{dotted((*path, unknown))}: unknown field; expected {_listed(allowed)}")
        case "required":
            missing = next(name for name in error.validator_value if name not in error.instance)
            return Fault(path, f"{dotted((*path, missing))}: expected a value, got nothing")
        case _:
            return Fault(path, f"{dotted(path)}: expected {_expectation(error)}, got {error.instance!r}")


def _expectation(error: Any) -> str:
    value = error.validator_value
    match error.validator:
        case "type":
            names = [value] if isinstance(value, str) else [name for name in value if name != "null"]
            return " or ".join(_TYPE_NAMES.get(name, name) for name in names)
        case "enum":
            return f"one of {_listed(item for item in value if item is not None)}"
        case "pattern":
            return f"text like {value}"
        case "minimum" | "minLength" | "minItems" | "minProperties":
            return f"at least {value}{_counted(error.validator)}"
        case "maximum" | "maxLength" | "maxItems" | "maxProperties":
            return f"at most {value}{_counted(error.validator)}"
        case _:
            return f"{error.validator} {value}"


_TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def _counted(validator: str) -> str:
    return {"Length": " characters", "Items": " entries", "Properties": " fields"}.get(validator[3:], "")


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in values) or "none"


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: `spec.containers[0].name`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the document"
