"""The settings of `retention`: which workflows that ended are deleted, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbos.config.refusal import refuse
from dbos.core.limits import MAX_SECONDS

MAX_BATCH = 10_000
MIN_AGE_SECONDS = 60
"""Who waits for a result must be able to read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionOptions:
    """A workflow that ended is deleted when it is too old or when enough newer ones are there, whichever comes first.

    Checks itself: raises DBOSInitializationError naming the key.
    """

    max_age_seconds: float | None = None
    """None: age deletes nothing."""
    max_workflows: int | None = None
    """How many that ended are kept, the newest. None: number deletes nothing."""
    interval_seconds: float = 60.0
    """How often it is looked for what is to go."""
    batch_size: int = 1000
    """Most workflows deleted in one transaction."""

    def __post_init__(self) -> None:
        if self.max_age_seconds is None and self.max_workflows is None:
            raise refuse("retention", {}, expected="max_age_sec, max_workflows or both")
        if self.max_age_seconds is not None and not MIN_AGE_SECONDS <= self.max_age_seconds <= MAX_SECONDS:
            raise refuse("retention.max_age_sec", self.max_age_seconds, expected=f"at least {MIN_AGE_SECONDS} seconds")
        if self.max_workflows is not None and not 1 <= self.max_workflows < 2**31:
            raise refuse("retention.max_workflows", self.max_workflows, expected=f"from 1 to {2**31 - 1}")
        if not 1 <= self.interval_seconds <= MAX_SECONDS:
            raise refuse("retention.interval_sec", self.interval_seconds, expected="at least 1 second")
        if not 1 <= self.batch_size <= MAX_BATCH:
            raise refuse("retention.batch_size", self.batch_size, expected=f"from 1 to {MAX_BATCH}")


_KINDS: Mapping[str, tuple[str, type]] = {
    "max_age_sec": ("max_age_seconds", float),
    "max_workflows": ("max_workflows", int),
    "interval_sec": ("interval_seconds", float),
    "batch_size": ("batch_size", int),
}


def parse_retention(given: object) -> RetentionOptions | None:
    """The value of the key `retention` as options; None for None: everything is kept.

    Raises DBOSInitializationError for a key that is unknown and a value that cannot be used, naming it.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise refuse("retention", given, expected="keys and values such as {'max_age_sec': 604800}")
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in _KINDS:  # a misspelt one would delete what the application means to keep, or keep all
            raise refuse(f"retention.{key}", value, expected=f"one of the keys {', '.join(_KINDS)}")
        name, kind = _KINDS[key]
        if value is None:
            continue
        accepted = (int, float) if kind is float else int
        if not isinstance(value, accepted) or isinstance(value, bool):
            expected = "a number of seconds" if kind is float else "a whole number"
            raise refuse(f"retention.{key}", value, expected=expected)
        values[name] = kind(value)
    return RetentionOptions(**values)
