"""A client of the published package that does what the lines on stdin say, and answers each with a line."""

from __future__ import annotations

import json
import sys
from typing import Any

from dbos import DBOSClient

clients: dict[tuple[str, str | None], DBOSClient] = {}


def client_of(url: str, application: str | None) -> DBOSClient:
    """The one client for a database and application."""
    key = (url, application)
    if key not in clients:
        clients[key] = DBOSClient(system_database_url=url, application_name=application)
    return clients[key]


def told(error: BaseException) -> dict[str, Any]:
    """An exception as a value."""
    return {"raised": f"{type(error).__module__}.{type(error).__qualname__}", "text": str(error)}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What a call gave or raised."""
    client = client_of(request["url"], request["application"])
    try:
        value = eval(request["expression"], {"client": client, **request["names"]})
    except Exception as error:  # noqa: BLE001 -- whatever was raised is the answer
        return told(error)
    return {"value": value}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line)), default=repr), flush=True)
