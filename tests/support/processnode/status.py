"""What a kubelet tells of a pod and how it treats its end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """Where the container of a pod is: ended, running, or waiting for a reason."""

    name: str
    image: str
    restarts: int = 0
    exit_code: int | None = None
    running_since: datetime | None = None
    waiting: str = "ContainerCreating"
    message: str = ""

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.exit_code is None and self.running_since is not None

    @property
    def phase(self) -> str:
        """The phase of a pod that has this container."""
        if self.exit_code is not None:
            return "Succeeded" if self.exit_code == 0 else "Failed"
        return "Running" if self.alive or self.restarts else "Pending"

    def as_state(self) -> dict[str, Any]:
        """The `state` of an entry of `containerStatuses`."""
        if self.exit_code is not None:
            # A process that a signal ended has a negative status here, and 128 + its number there.
            code = self.exit_code if self.exit_code >= 0 else 128 - self.exit_code
            return {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
        if self.running_since is not None:
            return {"running": {"startedAt": _text(self.running_since)}}
        return {"waiting": {"reason": self.waiting, "message": self.message}}


def pod_status(container: ContainerState, *, address: str, now: datetime) -> dict[str, Any]:
    """The status of a pod on a node, with the conditions that controllers count by."""
    conditions = {
        "PodScheduled": True,
        "Initialized": True,
        "ContainersReady": container.alive,
        "Ready": container.alive,
    }
    return {
        "phase": container.phase,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "hostIP": "127.0.0.1",
        "conditions": [
            {"type": name, "status": str(holds), "lastTransitionTime": _text(now)} for name, holds in conditions.items()
        ],
        "containerStatuses": [
            {
                "name": container.name,
                "image": container.image,
                "imageID": "",
                "restartCount": container.restarts,
                "ready": container.alive,
                "started": container.alive,
                "state": container.as_state(),
            }
        ],
    }


def restarts_after(pod: Manifest, exit_code: int) -> bool:
    """Whether the pod's policy starts a container again that ended so."""
    policy = pod["spec"].get("restartPolicy", "Always")
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def deletion_grace(pod: Manifest) -> timedelta:
    """How long a pod that is being deleted may take to end."""
    return timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds", 30))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
