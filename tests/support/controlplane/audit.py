"""What the API server writes down about who asked for what."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_FORBIDDEN = 403
# A watch is written down when it begins: its end may be hours away.
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as RBAC judges it."""

    group: str
    resource: str
    """With its subresource: `deployments/scale`."""
    verb: str
    namespace: str
    name: str
    forbidden: bool


class AuditLog:
    """The requests of ServiceAccounts to one API server."""

    def __init__(self, folder: Path) -> None:
        self._policy = folder / "audit-policy.json"
        self._log = folder / "audit.log"

    def arguments(self) -> list[str]:
        """What makes an API server write it."""
        self._policy.write_text(json.dumps(_POLICY))
        return [f"--audit-policy-file={self._policy}", f"--audit-log-path={self._log}"]

    def requests_of(self, user: str) -> list[Request]:
        """The requests of a user for resources, in order. The server writes one before it answers."""
        if not self._log.exists():
            return []
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.endswith("}")]
        return [_request(line) for line in lines if line["user"]["username"] == user and "objectRef" in line]


def _request(line: dict[str, object]) -> Request:
    about, answer = line["objectRef"], line.get("responseStatus")
    assert isinstance(about, dict)
    parts = (about.get("resource", ""), about.get("subresource", ""))
    return Request(
        group=about.get("apiGroup", ""),
        resource="/".join(part for part in parts if part),
        verb=str(line["verb"]),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        forbidden=isinstance(answer, dict) and answer.get("code") == _FORBIDDEN,
    )
