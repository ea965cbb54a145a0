"""Durations as resources write them: `500ms`, `30s`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta

EXPECTED = "a duration such as 500ms, 30s or 1h30m"

# The digits are bounded as in the CRDs, so that no sum is too large for anyone who reads it.
_FORM = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?", re.ASCII)
_UNITS = (
    ("h", timedelta(hours=1)),
    ("m", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
    ("ms", timedelta(milliseconds=1)),
)


def parse_duration(text: str) -> timedelta:
    """The length of time that a text names, exact to the millisecond. Raises ValueError with what was expected."""
    form = _FORM.fullmatch(text)
    if not text or form is None:
        raise ValueError(f"expected {EXPECTED}, got {text!r}")
    parts = zip(form.groups(), _UNITS, strict=True)
    return sum((int(count) * unit for count, (_, unit) in parts if count), timedelta())


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads as the same time; what is below a millisecond is left out."""
    text = ""
    rest = duration
    for suffix, unit in _UNITS:
        count, rest = divmod(rest, unit)
        if count:
            text += f"{count}{suffix}"
    return text or "0s"
