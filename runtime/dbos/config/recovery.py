"""The settings of `recovery`: when another process of the application counts as gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbos.config.refusal import refuse
from dbos.core.limits import MAX_SECONDS

MIN_HEARTBEAT_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryOptions:
    """Workflows of a process that is gone are taken over by the others of its application.

    Checks itself: raises DBOSInitializationError naming the key.
    """

    enabled: bool = True
    """Without, this process takes nothing over, and nobody takes over what it leaves."""
    heartbeat_seconds: float = 3.0
    """How often this process says that it lives, and looks after the others."""
    grace_seconds: float = 7.0
    """How long it may be silent while its connection to the database is gone, too."""
    lease_seconds: float = 30.0
    """How long it may be silent at all."""

    def __post_init__(self) -> None:
        if not MIN_HEARTBEAT_SECONDS <= self.heartbeat_seconds <= MAX_SECONDS:
            raise refuse(
                "recovery.heartbeat_sec", self.heartbeat_seconds, expected=f"at least {MIN_HEARTBEAT_SECONDS} seconds"
            )
        if not 2 * self.heartbeat_seconds <= self.grace_seconds <= MAX_SECONDS:
            raise refuse(
                "recovery.grace_sec",
                self.grace_seconds,
                expected=f"at least twice heartbeat_sec, {2 * self.heartbeat_seconds:g} seconds",
            )
        if not self.grace_seconds <= self.lease_seconds <= MAX_SECONDS:
            raise refuse(
                "recovery.lease_sec",
                self.lease_seconds,
                expected=f"at least grace_sec, {self.grace_seconds:g} seconds",
            )


_NAMES: Mapping[str, str] = {
    "enabled": "enabled",
    "heartbeat_sec": "heartbeat_seconds",
    "grace_sec": "grace_seconds",
    "lease_sec": "lease_seconds",
}


def parse_recovery(given: object) -> RecoveryOptions:
    """The value of the key `recovery` as options; None for the defaults.

    A grace or lease that is not given grows with the heartbeat. Raises DBOSInitializationError for a key that is
    unknown and a value that cannot be used, naming it.
    """
    if given is None:
        return RecoveryOptions()
    if not isinstance(given, Mapping):
        raise refuse("recovery", given, expected="keys and values such as {'lease_sec': 60}")
    unknown = sorted(str(key) for key in given if key not in _NAMES)
    if unknown:
        raise refuse(f"recovery.{unknown[0]}", given[unknown[0]], expected=f"one of the keys {', '.join(_NAMES)}")
    values: dict[str, Any] = {}
    for key, value in given.items():
        if value is None:
            continue
        if key == "enabled":
            if not isinstance(value, bool):
                raise refuse("recovery.enabled", value, expected="True or False")
        elif not isinstance(value, int | float) or isinstance(value, bool):
            raise refuse(f"recovery.{key}", value, expected="a number of seconds")
        values[_NAMES[key]] = value
    defaults = RecoveryOptions()
    heartbeat = values.get("heartbeat_seconds", defaults.heartbeat_seconds)
    grace = values.setdefault("grace_seconds", max(defaults.grace_seconds, 2 * heartbeat + 1))
    values.setdefault("lease_seconds", max(defaults.lease_seconds, 2 * grace))
    return RecoveryOptions(**values)
