"""The answers of `/healthz` and `/readyz`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Whether all is well, and check by check what is not. An empty text means that the check passed."""

    checks: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return not any(self.checks.values())

    @property
    def status(self) -> int:
        """The HTTP status that a kubelet acts on."""
        return 200 if self.passed else 503

    def text(self) -> str:
        """One line per check, for the person who asks with curl."""
        lines = [f"[-] {name}: {problem}" if problem else f"[+] {name}" for name, problem in self.checks.items()]
        return "\n".join([*lines, "ok" if self.passed else "failed", ""])
