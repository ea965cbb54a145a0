"""Formats of an application's own, beside pickle and portable JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from dbos.serialization import decoding, encoding

CUSTOM = "custom_serializer"


class Serializer(ABC):
    """How an application stores arguments, results and steps: one value, one text.

    `deserialize(serialize(value))` must give the value, or one that is as good: JSON makes lists of tuples.
    """

    @abstractmethod
    def serialize(self, data: Any) -> str:
        """The text of a value. What it raises refuses the value."""

    @abstractmethod
    def deserialize(self, serialized_data: str) -> Any:
        """The value of a text."""

    def name(self) -> str:
        """The name that rows give to the format; processes that share rows must agree on it."""
        return CUSTOM


class DefaultSerializer(Serializer):
    """Pickle in base64: any Python value, for Python alone."""

    def serialize(self, data: Any) -> str:
        """As Serializer."""
        return encoding.encode_value(data, encoding.PY_PICKLE)

    def deserialize(self, serialized_data: str) -> Any:
        """As Serializer."""
        return decoding.decode_value(serialized_data, encoding.PY_PICKLE)

    def name(self) -> str:
        """As Serializer."""
        return encoding.PY_PICKLE


class DBOSPortableJSONSerializer(Serializer):
    """JSON as every DBOS SDK reads and writes it: text, numbers, lists, dictionaries; times become text."""

    def serialize(self, value: Any) -> str:
        """As Serializer. Raises TypeError for a value that JSON has no form for."""
        return encoding.encode_value(value, encoding.PORTABLE_JSON)

    def deserialize(self, text: str) -> Any:
        """As Serializer."""
        return decoding.decode_value(text, encoding.PORTABLE_JSON)

    def name(self) -> str:
        """As Serializer."""
        return encoding.PORTABLE_JSON


def add_serializer(serializer: Serializer | None) -> str:
    """Make a serializer's format known to this process; its name in rows.

    A later one of the same name takes its place. Raises TypeError for what cannot serialize.
    """
    if serializer is None:
        return encoding.PY_PICKLE
    for method in ("serialize", "deserialize"):
        if not callable(getattr(serializer, method, None)):
            raise TypeError(f"expected an object with serialize() and deserialize(), got {serializer!r}")
    naming = getattr(serializer, "name", None)
    name = naming() if callable(naming) else CUSTOM
    if not isinstance(name, str) or not name.strip():
        raise TypeError(f"expected a name of text from {type(serializer).__name__}.name(), got {name!r}")
    if name not in {encoding.PY_PICKLE, encoding.PORTABLE_JSON}:
        encoding.add_writer(name, serializer.serialize)
        decoding.add_reader(name, serializer.deserialize)
    return name
