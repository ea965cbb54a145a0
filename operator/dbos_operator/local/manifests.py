"""A folder of YAML as the objects that are wanted: `kubectl apply` without a cluster.

Everything that the API server, or the operator on a cluster, would refuse is
refused here, with file, line and what was expected. All or nothing: one broken
file leaves what was there before.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbos_operator.errors import OperatorError
from dbos_operator.local.documents import Document, ManifestError, read_documents
from dbos_operator.local.schemas import Schemas, dotted
from dbos_operator.local.templates import InvalidTemplateError, PodTemplate, parse_template
from dbos_operator.resources.database import parse_database
from dbos_operator.resources.identity import GROUP, Kind, ObjectKey
from dbos_operator.resources.queue import parse_queue
from dbos_operator.resources.resource import Resource
from dbos_operator.resources.schedule import parse_schedule
from dbos_operator.resources.selector import parse_selector

PARSERS: Mapping[str, Callable[[Mapping[str, Any]], Resource[Any]]] = {
    Kind.DATABASE: parse_database,
    Kind.QUEUE: parse_queue,
    Kind.SCHEDULE: parse_schedule,
}
WORKLOADS = ("Deployment", "StatefulSet")
DEFAULT_NAMESPACE = "default"
SUFFIXES = (".yaml", ".yml")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_IMMUTABLE = {
    Kind.QUEUE: ("queueName", "databaseRef"),
    Kind.SCHEDULE: ("scheduleName", "databaseRef"),
    Kind.DATABASE: (),
}


@dataclass(frozen=True, slots=True, order=True)
class ObjectId:
    """Kind, namespace and name; `str()` gives `DBOSQueue default/files`."""

    kind: str
    key: ObjectKey

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object of the folder."""

    id: ObjectId
    document: Document

    @property
    def body(self) -> Mapping[str, Any]:
        """What the YAML says."""
        body: Mapping[str, Any] = self.document.value
        return body

    @property
    def data(self) -> dict[str, bytes]:
        """The decoded data of a Secret or ConfigMap. Raises ManifestError for what is not base64."""
        data = {}
        encoded = "data" if self.id.kind == "Secret" else "binaryData"
        plain = "stringData" if self.id.kind == "Secret" else "data"
        for name, text in (self.body.get(encoded) or {}).items():
            try:
                data[name] = base64.b64decode("".join(text.split()), validate=True)
            except ValueError as error:
                raise self.document.error((encoded, name), f"{encoded}.{name}: expected base64") from error
        return {**data, **{name: text.encode() for name, text in (self.body.get(plain) or {}).items()}}

    @property
    def template(self) -> PodTemplate:
        """What the pods of a workload run."""
        return parse_template(self.body["spec"]["template"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """All objects of the folder at one moment, checked."""

    objects: Mapping[ObjectId, Manifest]
    ignored: tuple[str, ...] = ()
    """One line for each document that means nothing here."""

    def of_kinds(self, *kinds: str) -> Iterator[Manifest]:
        """The objects of some kinds, in the order of their IDs."""
        return (self.objects[found] for found in sorted(self.objects) if found.kind in kinds)

    def find(self, kind: str, key: ObjectKey) -> Manifest | None:
        """One object, or None."""
        return self.objects.get(ObjectId(kind, key))

    def data(self, kind: str, key: ObjectKey) -> dict[str, bytes] | None:
        """The decoded data of a Secret or ConfigMap, or None."""
        manifest = self.find(kind, key)
        return None if manifest is None else manifest.data


class NothingToRunError(OperatorError):
    """Paths that hold no object of ours."""


def list_files(paths: Sequence[Path]) -> list[Path]:
    """The YAML files that the paths name: a file itself, a folder's own files as `kubectl apply -f` takes them."""
    files: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
        elif path.is_file():
            found = [path]
        else:
            raise NothingToRunError(f"{path}: no such file or folder")
        for file in found:
            files.setdefault(file.resolve(), file)
    return list(files.values())


def load_manifests(paths: Sequence[Path], schemas: Schemas) -> Manifests:
    """Read and check every file. Raises OperatorError with the one line that says what is wrong."""
    documents: list[Document] = []
    for file in list_files(paths):
        try:
            # The mark that some editors put before UTF-8 is no part of the text.
            text = file.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestError(file, 1, f"cannot be read: {error}") from error
        documents.extend(read_documents(file, text))
    return check_documents(documents, schemas)


def check_not_empty(manifests: Manifests, paths: Sequence[Path]) -> None:
    """Raise NothingToRunError for paths without a single object of ours: a start there is a mistake."""
    if not any(found.kind in PARSERS for found in manifests.objects):
        places = ", ".join(str(path) for path in paths)
        raise NothingToRunError(f"{places}: no {', '.join(PARSERS)} in {len(list_files(paths))} YAML file(s)")


def check_documents(documents: Iterable[Document], schemas: Schemas) -> Manifests:
    """The objects of the documents, each checked by itself."""
    objects: dict[ObjectId, Manifest] = {}
    ignored: list[str] = []
    for document in documents:
        if not _is_understood(document, schemas):
            ignored.append(_ignored_line(document))
            continue
        manifest = Manifest(ObjectId(document.value["kind"], _read_key(document)), document)
        if (other := objects.get(manifest.id)) is not None:
            place = f"{other.document.file}:{other.document.line_of()}"
            raise document.error((), f"{manifest.id} is already in {place}; expected each object once")
        _check_fields(manifest, schemas)
        objects[manifest.id] = manifest
    return Manifests(objects=objects, ignored=tuple(ignored))


def check_changes(before: Manifests, after: Manifests) -> None:
    """Raise ManifestError for a change that the API server would refuse."""
    for kind, fields in _IMMUTABLE.items():
        for manifest in after.of_kinds(kind):
            old = before.find(kind, manifest.id.key)
            for field in fields if old is not None else ():
                was, now = old.body["spec"].get(field) if old else None, manifest.body["spec"].get(field)
                if was != now:
                    sentence = f"spec.{field}: immutable, expected {was!r}, got {now!r}; delete the object first"
                    raise manifest.document.error(("spec", field), sentence)


def _is_understood(document: Document, schemas: Schemas) -> bool:
    value = document.value
    if not isinstance(value, Mapping):
        raise document.error((), f"expected a mapping with apiVersion and kind, got {type(value).__name__}")
    version, kind = value.get("apiVersion"), value.get("kind")
    if version is None and kind is None:
        return False
    for field, found in (("apiVersion", version), ("kind", kind)):
        if not isinstance(found, str) or not found:
            raise document.error((field,), f"{field}: expected text, got {found!r}")
    assert isinstance(version, str)
    assert isinstance(kind, str)
    if schemas.knows(kind):
        if version != schemas.api_version(kind):
            raise document.error(
                ("apiVersion",), f"apiVersion: expected {schemas.api_version(kind)} for {kind}, got {version!r}"
            )
        return True
    if version.startswith(f"{GROUP}/"):
        raise document.error(("kind",), f"kind: expected one of {', '.join(PARSERS)}, got {kind!r}")
    return False


def _ignored_line(document: Document) -> str:
    kind = document.value.get("kind")
    what = f"{kind} means nothing without a cluster" if kind else "not a Kubernetes object"
    return f"{document.file}:{document.line_of()}: {what}: ignored"


def _read_key(document: Document) -> ObjectKey:
    metadata = document.value.get("metadata")
    if not isinstance(metadata, Mapping):
        raise document.error(("metadata",), f"metadata: expected a mapping with a name, got {metadata!r}")
    name = metadata.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise document.error(("metadata", "name"), f"metadata.name: expected a-z, 0-9, - and ., got {name!r}")
    namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
    if not isinstance(namespace, str) or not _LABEL.fullmatch(namespace):
        raise document.error(
            ("metadata", "namespace"), f"metadata.namespace: expected a-z, 0-9 and -, got {namespace!r}"
        )
    return ObjectKey(namespace, name)


def _check_fields(manifest: Manifest, schemas: Schemas) -> None:
    document, kind = manifest.document, manifest.id.kind
    fault = schemas.check(kind, manifest.body)
    if fault is not None:
        raise document.error(fault.path, fault.sentence)
    if kind in PARSERS:
        problem = PARSERS[kind](complete(manifest)).problem
        if problem is not None:
            field, _, _ = problem.message.partition(":")
            raise document.error(field.split("."), problem.message)
    if kind in ("Secret", "ConfigMap"):
        # Read now, so that what is not base64 is refused like any other field.
        _ = manifest.data
    if kind in WORKLOADS:
        _check_selector(manifest)
        try:
            parse_template(manifest.body["spec"]["template"])
        except InvalidTemplateError as error:
            path = ("spec", "template", *error.path)
            raise document.error(path, f"{dotted(path)}: {error}") from error


def _check_selector(manifest: Manifest) -> None:
    spec = manifest.body["spec"]
    labels = spec["template"]["metadata"]["labels"]
    selector = parse_selector(spec["selector"])
    if not selector.known:
        sentence = f"spec.selector: expected matchLabels, or matchExpressions that can hold, got {spec['selector']!r}"
        raise manifest.document.error(("spec", "selector"), sentence)
    if not selector.matches(labels):
        path = ("spec", "template", "metadata", "labels")
        sentence = f"{dotted(path)}: expected labels that spec.selector ({selector.text}) finds, got {labels!r}"
        raise manifest.document.error(path, sentence)


def complete(manifest: Manifest, **metadata: Any) -> dict[str, Any]:
    """The manifest as the API server would hand it out: with the metadata that it adds."""
    key = manifest.id.key
    added = {
        "namespace": key.namespace,
        "uid": "",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": "1970-01-01T00:00:00Z",
        **metadata,
    }
    return {**manifest.body, "metadata": {**manifest.body["metadata"], **added}}
