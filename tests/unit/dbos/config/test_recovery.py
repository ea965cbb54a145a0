"""The settings of `recovery`."""

from __future__ import annotations

import pytest

from dbos.config.recovery import RecoveryOptions, parse_recovery
from dbos.error import DBOSInitializationError


def test_without_settings_others_are_looked_after() -> None:
    assert parse_recovery(None) == parse_recovery({}) == RecoveryOptions()
    assert RecoveryOptions().enabled


def test_what_is_given_is_taken_and_the_rest_grows_with_the_heartbeat() -> None:
    assert parse_recovery({"heartbeat_sec": 0.5, "grace_sec": 1, "lease_sec": 5}) == RecoveryOptions(
        heartbeat_seconds=0.5, grace_seconds=1, lease_seconds=5
    )
    assert parse_recovery({"heartbeat_sec": 20}) == RecoveryOptions(
        heartbeat_seconds=20, grace_seconds=41, lease_seconds=82
    )
    assert parse_recovery({"enabled": False}) == RecoveryOptions(enabled=False)
    assert parse_recovery({"lease_sec": None}) == RecoveryOptions()


@pytest.mark.parametrize(
    ("given", "named", "expected"),
    [
        (True, "recovery:", "keys and values"),
        ({"lease": 5}, "recovery.lease:", "one of the keys enabled, heartbeat_sec, grace_sec, lease_sec"),
        ({"enabled": 1}, "recovery.enabled:", "True or False"),
        ({"heartbeat_sec": "3"}, "recovery.heartbeat_sec:", "a number of seconds"),
        ({"heartbeat_sec": True}, "recovery.heartbeat_sec:", "a number of seconds"),
        ({"heartbeat_sec": 0}, "recovery.heartbeat_sec:", "at least 0.1 seconds"),
        ({"heartbeat_sec": float("nan")}, "recovery.heartbeat_sec:", "at least 0.1 seconds"),
        ({"heartbeat_sec": 5, "grace_sec": 6}, "recovery.grace_sec:", "at least twice heartbeat_sec, 10 seconds"),
        ({"grace_sec": 10, "lease_sec": 9}, "recovery.lease_sec:", "at least grace_sec, 10 seconds"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(given: object, named: str, expected: str) -> None:
    with pytest.raises(DBOSInitializationError) as refused:
        parse_recovery(given)
    assert named in str(refused.value)
    assert expected in str(refused.value)
