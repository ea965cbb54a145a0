"""YAML text as documents that know on which line each of their fields stands."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dbos_operator.errors import OperatorError


class ManifestError(OperatorError):
    """A file that cannot be used; the message is one line that begins with file and line."""

    def __init__(self, file: Path, line: int, sentence: str) -> None:
        super().__init__(f"{file}:{line}: {sentence}")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file."""

    file: Path
    value: Any
    node: yaml.Node

    def line_of(self, path: Sequence[str | int] = ()) -> int:
        """The line of a field, or of the nearest one around it that the text has."""
        node = self.node
        line = node.start_mark.line
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return int(line) + 1

    def error(self, path: Sequence[str | int], sentence: str) -> ManifestError:
        """The error that points to a field."""
        return ManifestError(self.file, self.line_of(path), sentence)


class _Loader(yaml.SafeLoader):
    """Reads what kubectl reads: a date stays text, 1:30 is no number, and a key may not come twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} comes twice in one mapping", key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep=deep)


_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?\Z|[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z"
)
_OWN = {"tag:yaml.org,2002:int": _INTEGER, "tag:yaml.org,2002:float": _FLOAT}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, _OWN.get(tag, pattern)) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_documents(file: Path, text: str) -> Iterator[Document]:
    """The documents of a file that are not empty. Raises ManifestError for what is no YAML."""
    try:
        for node in list(yaml.compose_all(text, _Loader)):
            loader = _Loader("")
            try:
                value = loader.construct_document(node)
            finally:
                loader.dispose()
            if value is not None:
                yield Document(file, value, node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ManifestError(file, mark.line + 1 if mark else 1, f"not YAML: {_sentence(error)}") from error
    except yaml.YAMLError as error:
        raise ManifestError(file, 1, f"not YAML: {' '.join(str(error).split())}") from error


def _sentence(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return " ".join(", ".join(parts).split())


def _child(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item.start_mark.line, item
    return None
