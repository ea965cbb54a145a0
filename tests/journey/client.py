"""A client of the system database inside the cluster, spoken to over `kubectl exec`."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.kubectl import Kubectl

POD = "journey-client"
_PROGRAM = Path(__file__).with_name("pod_client.py").read_text(encoding="utf-8")
_ANSWER_SECONDS = 60.0
_RETRY_SECONDS = 0.5


class ClientError(Exception):
    """A call in the pod failed; the text is what it said there."""


class ConnectionLostError(Exception):
    """The line to the pod broke before an answer came."""


class PodClient:
    """SQL, HTTP and enqueueing from where the workers are.

    Reads are repeated until they succeed or a minute is over, since the journey
    restarts the database on purpose. So is enqueueing, whose IDs make that safe.
    """

    def __init__(self, kubectl: Kubectl, database_url: str) -> None:
        self._kubectl = kubectl
        self._url = database_url
        self._line: _Line | None = None

    @property
    def database_url(self) -> str:
        """The database that calls are about."""
        return self._url

    def start(self, image: str) -> None:
        """Start the pod and wait until it runs."""
        self._kubectl.apply(json.dumps(_manifest(image)))
        self._kubectl("wait", f"pod/{POD}", "--for=condition=Ready", "--timeout=180s", timeout=200)

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def rows(self, query: str, *parameters: object) -> list[list[Any]]:
        """What a query finds."""
        return list(self._patiently("sql", url=self._url, query=query, parameters=parameters) or [])

    def execute(self, statement: str, *, url: str | None = None) -> None:
        """Execute a statement once, in autocommit."""
        self._call("sql", url=url or self._url, query=statement)

    def enqueue(self, options: Mapping[str, str], arguments: Mapping[str, Sequence[object]]) -> None:
        """Enqueue a workflow under each ID, with its arguments."""
        self._patiently("enqueue", url=self._url, options=options, arguments=arguments)

    def http(self, url: str) -> tuple[int, str]:
        """Status and text of a GET, asked from inside the cluster."""
        status, text = self._patiently("http", url=url)
        return status, text

    def _patiently(self, call: str, **arguments: Any) -> Any:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                return self._call(call, **arguments)
            except (ClientError, ConnectionLostError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_SECONDS)

    def _call(self, call: str, **arguments: Any) -> Any:
        if self._line is None:
            self._line = _Line(self._kubectl)
        try:
            answer = self._line.ask({"call": call, **arguments})
        except ConnectionLostError:
            self.close()
            raise
        if "error" in answer:
            raise ClientError(answer["error"])
        return answer["result"]


def _manifest(image: str) -> dict[str, Any]:
    """A pod that waits to be spoken to, within what the strictest of the pod security standards allows."""
    container = {
        "name": "client",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", "import signal; signal.pause()"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "labels": {"app": POD}}, "spec": spec}


class _Line:
    """One `kubectl exec`, held open: a question and an answer at a time."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._process = kubectl.start("exec", "--stdin", POD, "--", "python3", "-u", "-c", _PROGRAM, stdin=True)
        self._answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=_ANSWER_SECONDS)
        except (OSError, queue.Empty) as error:
            raise ConnectionLostError(f"the client pod did not answer: {error!r}") from error
        if answer is None:
            raise ConnectionLostError("the line to the client pod broke")
        decoded: dict[str, Any] = json.loads(answer)
        return decoded

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)
