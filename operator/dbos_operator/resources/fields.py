"""Reading one mapping of a manifest, field by field, with a sentence for each field that cannot be used.

The API server has checked all of this before. It is checked again because a folder of YAML has no API
server, and a CRD can be older or newer than the operator.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from dbos_operator.errors import InvalidResourceError
from dbos_operator.resources import duration

T = TypeVar("T")
EnumT = TypeVar("EnumT", bound=StrEnum)

RESERVED_PREFIX = "_dbos_"
LARGEST_INTEGER = 2**31 - 1
LONGEST_TEXT = 255
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_OBJECT_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
"""RFC 1123, as Kubernetes asks of the names of Secrets, workloads and namespaces."""


class Fields:
    """The fields of one mapping. `path` is where it stands: `spec.scaling`."""

    def __init__(self, path: str, value: object, *known: str) -> None:
        """Open a mapping; raises InvalidResourceError when it is none or holds a field that is not known."""
        if not isinstance(value, Mapping):
            raise InvalidResourceError(path, value, expected=f"an object with the fields {', '.join(known)}")
        self._path = path
        self._values: Mapping[str, Any] = value
        for name in value:
            if name not in known:
                raise InvalidResourceError(path, name, expected=f"only the fields {', '.join(known)}")

    def has(self, name: str) -> bool:
        """Whether the manifest gives the field a value; `null` is none."""
        return self._values.get(name) is not None

    def mentions(self, name: str) -> bool:
        """Whether the manifest names the field at all, with `null` too."""
        return name in self._values

    def raw(self, name: str) -> Any:
        """The value as the manifest has it, None when it is absent."""
        return self._values.get(name)

    def nested(self, name: str, *known: str) -> Fields | None:
        """A mapping inside this one, None when it is absent."""
        if not self.has(name):
            return None
        return Fields(self.path_of(name), self._values[name], *known)

    def must(self, name: str, value: T | None, expected: str) -> T:
        """The value that was read of a field which the manifest may not leave out."""
        if value is None:
            raise self.wrong(name, expected=expected)
        return value

    def text(self, name: str, *, longest: int = LONGEST_TEXT) -> str | None:
        """Non-blank text, None when it is absent."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip() or len(value) > longest or "\0" in value:
            raise self.wrong(name, expected=f"non-blank text of at most {longest} characters")
        return value

    def name(self, name: str) -> str | None:
        """The name of a row: non-blank text outside what DBOS keeps for itself, None when it is absent."""
        value = self.text(name)
        if value is not None and value.startswith(RESERVED_PREFIX):
            raise self.wrong(name, expected=f"a name that does not start with {RESERVED_PREFIX}")
        return value

    def object_name(self, name: str) -> str | None:
        """The name of an object of Kubernetes, None when it is absent. It becomes part of a path: no / is let in."""
        value = self.text(name)
        if value is not None and not _OBJECT_NAME.fullmatch(value):
            raise self.wrong(name, expected="the name of an object: lower case letters and digits with - and . between")
        return value

    def integer(self, name: str, *, least: int = 1) -> int | None:
        """A whole number, None when it is absent."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST_INTEGER:
            raise self.wrong(name, expected=f"a whole number of at least {least}")
        return value

    def flag(self, name: str) -> bool | None:
        """True or false, None when it is absent."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, expected="true or false")
        return value

    def choice(self, name: str, options: type[EnumT], default: EnumT) -> EnumT:
        """One of the values of an enumeration."""
        value = self._values.get(name)
        if value is None:
            return default
        if value not in list(options):
            raise self.wrong(name, expected=f"one of {', '.join(options)}")
        return options(value)

    def duration(self, name: str, *, zero: bool = False, longest: timedelta | None = None) -> timedelta | None:
        """A length of time above zero (or zero, where that means something), None when it is absent."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.wrong(name, expected=duration.EXPECTED)
        try:
            parsed = duration.parse_duration(value)
        except ValueError as error:
            raise self.wrong(name, expected=duration.EXPECTED) from error
        if not parsed and not zero:
            raise self.wrong(name, expected="a duration above zero")
        if longest is not None and parsed > longest:
            raise self.wrong(name, expected=f"a duration of at most {duration.format_duration(longest)}")
        return parsed

    def wrong(self, name: str, *, expected: str) -> InvalidResourceError:
        """The error that says what is wrong with a field."""
        return InvalidResourceError(self.path_of(name), self._values.get(name), expected=expected)

    def path_of(self, name: str) -> str:
        """Where a field stands in the manifest: `spec.scaling.idleAfter`."""
        return f"{self._path}.{name}"
