"""Which pods are meant: the label selector of a Deployment or StatefulSet as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dbos_operator.errors import OperatorError


class UnknownSelectorError(OperatorError):
    """Nobody can say which pods a selector means, so nothing follows from what it finds."""

    def __init__(self) -> None:
        operators = ", ".join(SelectorOperator)
        super().__init__(f"spec.selector: expected matchLabels, or matchExpressions with one of {operators}")


class SelectorOperator(StrEnum):
    """What an expression asks of a label."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """What a pod must fulfil in one label."""

    key: str
    operator: SelectorOperator
    values: tuple[str, ...] = ()
    """Sorted, each once; empty exactly for Exists and DoesNotExist."""

    @property
    def text(self) -> str:
        """As the API's query `labelSelector` says it."""
        listed = f"({','.join(self.values)})"
        match self.operator:
            case SelectorOperator.IN:
                return f"{self.key}={self.values[0]}" if len(self.values) == 1 else f"{self.key} in {listed}"
            case SelectorOperator.NOT_IN:
                return f"{self.key}!={self.values[0]}" if len(self.values) == 1 else f"{self.key} notin {listed}"
            case SelectorOperator.EXISTS:
                return self.key
            case SelectorOperator.DOES_NOT_EXIST:
                return f"!{self.key}"

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels fulfil it. A label that is not there is in no list, and so `NotIn` holds."""
        match self.operator:
            case SelectorOperator.IN:
                return self.key in labels and labels[self.key] in self.values
            case SelectorOperator.NOT_IN:
                return self.key not in labels or labels[self.key] not in self.values
            case SelectorOperator.EXISTS:
                return self.key in labels
            case SelectorOperator.DOES_NOT_EXIST:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class Selector:
    """The pods that fulfil every requirement; equal for selectors that say the same in another order.

    Without a requirement nobody knows which pods are meant: that is never the
    same as no pods, so whoever asks gets UnknownSelectorError.
    """

    requirements: tuple[Requirement, ...] = ()
    """Sorted, each once."""

    @classmethod
    def of_labels(cls, labels: Mapping[str, str]) -> Selector:
        """The pods that have these labels."""
        return cls(tuple(sorted(_label(key, value) for key, value in labels.items())))

    @property
    def known(self) -> bool:
        """Whether it says which pods are meant."""
        return bool(self.requirements)

    @property
    def text(self) -> str:
        """The query `labelSelector` of the API. Raises UnknownSelectorError."""
        return ",".join(requirement.text for requirement in self._required())

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels is meant. Raises UnknownSelectorError."""
        return all(requirement.holds(labels) for requirement in self._required())

    def record(self) -> dict[str, Any]:
        """What a record keeps: the labels themselves where there is nothing else, as earlier versions wrote them.

        An earlier version asks the API with what else there is, is refused, and leaves the pods alone.
        """
        labels = {each.key: each.values[0] for each in self.requirements if _is_label(each)}
        if len(labels) == len(self.requirements):
            return labels
        return {
            "matchExpressions": [
                {"key": each.key, "operator": each.operator.value, "values": list(each.values)}
                for each in self.requirements
            ]
        }

    def _required(self) -> tuple[Requirement, ...]:
        if not self.requirements:
            raise UnknownSelectorError
        return self.requirements


def parse_selector(manifest: Mapping[str, Any]) -> Selector:
    """The selector of a manifest. One that cannot be read as a whole is not known: a part of it finds too much."""
    if manifest.keys() - {"matchLabels", "matchExpressions"}:
        return Selector()
    labels = [_label(key, value) for key, value in (manifest.get("matchLabels") or {}).items()]
    expressions = [_parse_expression(each) for each in manifest.get("matchExpressions") or ()]
    found = {each for each in (*labels, *expressions) if each is not None}
    return Selector() if None in expressions else Selector(tuple(sorted(found)))


def read_selector(record: Mapping[str, Any]) -> Selector:
    """What `Selector.record` gave, of this version or an earlier one, whose records are labels alone."""
    if all(isinstance(value, str) for value in record.values()):
        return Selector.of_labels(record)
    return parse_selector(record)


def _parse_expression(expression: Mapping[str, Any]) -> Requirement | None:
    key, operator = expression.get("key"), expression.get("operator")
    values = tuple(sorted(set(expression.get("values") or ())))
    if not key or operator not in {each.value for each in SelectorOperator}:
        return None
    requirement = Requirement(key, SelectorOperator(operator), values)
    listing = requirement.operator in (SelectorOperator.IN, SelectorOperator.NOT_IN)
    return requirement if listing == bool(values) else None


def _label(key: str, value: str) -> Requirement:
    return Requirement(key, SelectorOperator.IN, (value,))


def _is_label(requirement: Requirement) -> bool:
    return requirement.operator is SelectorOperator.IN and len(requirement.values) == 1
