"""What the chart runs in pods of its own, with the standard library alone.

    python -c "$THIS" kinds                              wait until the cluster serves the three kinds
    python -c "$THIS" operator URL [NAMESPACE/NAME]      wait until the operator, and its default database, are ready

The status is 0, or 1 with a sentence that says what is missing.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

KINDS = {"dbosdatabases", "dbosqueues", "dbosschedules"}
API = "/apis/dbos.dev/v1beta1"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_WAIT_SECONDS = float(os.environ.get("DBOS_CHECK_SECONDS", "60"))
_STALLED_SECONDS = min(_WAIT_SECONDS, 15.0)
"""Within which the operator sees what somebody has mended; nothing else changes a database that is stalled."""
_PAUSE_SECONDS = 0.5


def fetch(url: str, *, token: str = "", authority: str | None = None) -> str:
    """The text of a URL. OSError says why there is none; of an HTTP error, its body does."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    context = ssl.create_default_context(cafile=authority) if authority else None
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 -- the chart itself writes the URL
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        raise OSError(error.read().decode(errors="replace").strip() or str(error)) from error


def fetch_from_cluster(path: str) -> dict[str, Any]:
    """What the API server answers to the service account of this pod."""
    account = Path(os.environ.get("DBOS_CHECK_ACCOUNT", _ACCOUNT))
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    token = (account / "token").read_text().strip()
    found: dict[str, Any] = json.loads(fetch(server + path, token=token, authority=str(account / "ca.crt")))
    return found


def missing_kinds() -> str:
    """Which kinds the cluster does not serve yet; nothing when it serves all."""
    try:
        served = {each["name"] for each in fetch_from_cluster(API)["resources"]}
    except OSError as error:
        return f"the cluster does not serve dbos.dev/v1beta1: {error}"
    return f"the cluster does not serve {', '.join(sorted(KINDS - served))}" if KINDS - served else ""


def operator_problem(url: str) -> str:
    """Why the operator is not ready; nothing when it is."""
    try:
        fetch(f"{url}/readyz")
    except OSError as error:
        return f"the operator is not ready at {url}/readyz: {error}"
    return ""


def database_problem(key: str, *, stalled: bool = False) -> str:
    """Why a DBOSDatabase is not ready, as its conditions tell; nothing when it is.

    With `stalled`, nothing as well when it may become ready by itself.
    """
    namespace, _, name = key.partition("/")
    # The operator may list them and need not get one.
    selector = urllib.parse.urlencode({"fieldSelector": f"metadata.name={name}"})
    try:
        found = fetch_from_cluster(f"{API}/namespaces/{namespace}/dbosdatabases?{selector}")["items"]
    except OSError as error:
        return f"DBOSDatabase {key} cannot be read: {error}"
    if not found:
        return f"there is no DBOSDatabase {key}"
    conditions = {each["type"]: each for each in found[0].get("status", {}).get("conditions", [])}
    ready = conditions.get("Ready")
    if stalled and conditions.get("Stalled", {}).get("status") != "True":
        return ""
    if ready is None:
        return f"the operator has not looked at DBOSDatabase {key}"
    return (
        "" if ready["status"] == "True" else f"DBOSDatabase {key} is not ready: {ready['reason']}: {ready['message']}"
    )


def settle(problem: Callable[[], str], seconds: float = _WAIT_SECONDS) -> str:
    """The problem that is still there when the time is over, or nothing as soon as there is none."""
    deadline = time.monotonic() + seconds
    while (text := problem()) and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
    return text


def main(arguments: list[str]) -> str:
    """Do the check that the arguments name; what went wrong, or nothing."""
    match arguments:
        case ["kinds"]:
            return settle(missing_kinds)
        case ["operator", url]:
            return settle(lambda: operator_problem(url))
        case ["operator", url, key]:
            return (
                settle(lambda: operator_problem(url))
                or settle(lambda: database_problem(key, stalled=True), _STALLED_SECONDS)
                or settle(lambda: database_problem(key))
            )
        case _:
            return f"expected kinds or operator URL [NAMESPACE/NAME], got {arguments}"


if __name__ == "__main__":
    found = main(sys.argv[1:])
    sys.stdout.write(f"{found or 'ok: ' + ' '.join(sys.argv[1:])}\n")
    sys.exit(1 if found else 0)
