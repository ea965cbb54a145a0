"""Ports for servers of tests, which stay free until they are used, also while their server is away."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack, closing

_FIRST, _LAST = 15_000, 30_000
"""Below those that systems give to connections: one of these could get the port of a server that is not there."""


def free_port(count: int = 1) -> int:
    """A port of this machine that nobody has, or the first of several in a row."""
    while True:
        first = _FIRST + secrets.randbelow(_LAST - _FIRST - count)
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(closing(socket.socket())).bind(("", port))
            except OSError:
                continue
            return first
