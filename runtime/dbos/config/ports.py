"""Ports of `/metrics`: one, or the first free one of several."""

from __future__ import annotations

import re

from dbos.config.refusal import refuse

EXPECTED = "a port from 0 to 65535, or the first and the last of several such as '9464-9467'"
MOST_PORTS = 1000
_TEXT = re.compile(r"\s*([0-9]{1,5})\s*(?:-\s*([0-9]{1,5})\s*)?")


def parse_ports(key: str, given: object) -> range | None:
    """The ports to try, in order; None for None: nothing is served.

    A number, a number as text, or the first and the last as text; 0 is any free port. Raises
    DBOSInitializationError naming the key.
    """
    if given is None:
        return None
    if isinstance(given, str):
        found = _TEXT.fullmatch(given)
        if found is None:
            raise refuse(key, given, expected=EXPECTED)
        first, last = int(found[1]), int(found[2] or found[1])
    elif isinstance(given, int) and not isinstance(given, bool):
        first = last = given
    else:
        raise refuse(key, given, expected=EXPECTED)
    several = last != first
    if not (1 if several else 0) <= first <= last <= 65535 or last - first >= MOST_PORTS:
        raise refuse(key, given, expected=EXPECTED)
    return range(first, last + 1)
