"""Moments as Kubernetes writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def format_moment(moment: datetime) -> str:
    """The moment in UTC, to the second: `2026-11-21T07:16:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def round_down(moment: datetime, step: timedelta) -> datetime:
    """The last multiple of `step` (since 1970) that is not after the moment, in UTC."""
    epoch = datetime.fromtimestamp(0, UTC)
    return moment - (moment - epoch) % step
