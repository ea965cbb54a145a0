"""The environment of a pod: references resolved and `$(VAR)` expanded as a kubelet does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dbos_operator.errors import OperatorError
from dbos_operator.local.templates import FieldRef, KeyRef, PodTemplate

_REFERENCE = re.compile(r"\$(\$|\(([^()$]+)\))")

Lookup = Callable[[str, str], Mapping[str, bytes] | None]
"""Kind (Secret or ConfigMap) and name to the data, None when there is no such object."""


class UnresolvedReferenceError(OperatorError):
    """A Secret or ConfigMap, or a key of it, that is not in the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """What a pod knows of itself."""

    name: str
    namespace: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ip: str = "127.0.0.1"

    def field(self, reference: FieldRef) -> str:
        """The value of a field of the pod; a label that is not there is empty."""
        match reference.field:
            case "labels":
                return self.labels.get(reference.key, "")
            case "annotations":
                return self.annotations.get(reference.key, "")
            case "metadata.name":
                return self.name
            case "metadata.namespace":
                return self.namespace
            case "metadata.uid":
                return self.uid
            case _:
                return self.ip


def resolve_environment(
    template: PodTemplate, facts: PodFacts, lookup: Lookup, own: Mapping[str, str]
) -> dict[str, str]:
    """The variables that the template asks for, over those that the operator gives to each pod.

    Raises UnresolvedReferenceError for a reference that is not optional and has no value.
    """
    env = dict(own)
    for source in template.sources:
        data = lookup(source.kind, source.name)
        if data is None and not source.optional:
            raise UnresolvedReferenceError(f"{source.kind} {facts.namespace}/{source.name} is not in the folder")
        env.update({f"{source.prefix}{key}": value.decode() for key, value in (data or {}).items()})
    for variable in template.variables:
        match variable.value:
            case str(text):
                env[variable.name] = expand(text, env)
            case KeyRef() as reference:
                value = _read_key(reference, facts.namespace, lookup)
                if value is not None:
                    env[variable.name] = value
            case FieldRef() as reference:
                env[variable.name] = facts.field(reference)
    return env


def unresolved(template: PodTemplate, namespace: str, lookup: Lookup) -> Iterable[str]:
    """What the template refers to and the folder does not hold, one sentence each."""
    for source in template.sources:
        if not source.optional and lookup(source.kind, source.name) is None:
            yield f"{source.kind} {namespace}/{source.name} is not in the folder"
    for variable in template.variables:
        if isinstance(variable.value, KeyRef):
            try:
                _read_key(variable.value, namespace, lookup)
            except UnresolvedReferenceError as error:
                yield f"{variable.name}: {error}"


def expand(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` replaced by its value; an unknown name stays as it is and `$$` means one `$`."""

    def replace(found: re.Match[str]) -> str:
        return "$" if found[1] == "$" else env.get(found[2], found[0])

    return _REFERENCE.sub(replace, text)


def expand_all(argv: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """A command line with every `$(NAME)` replaced."""
    return tuple(expand(word, env) for word in argv)


def _read_key(reference: KeyRef, namespace: str, lookup: Lookup) -> str | None:
    data = lookup(reference.kind, reference.name)
    if data is not None and reference.key in data:
        return data[reference.key].decode()
    if reference.optional:
        return None
    if data is None:
        raise UnresolvedReferenceError(f"{reference.kind} {namespace}/{reference.name} is not in the folder")
    raise UnresolvedReferenceError(f"{reference.kind} {namespace}/{reference.name} has no key {reference.key}")
