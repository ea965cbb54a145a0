"""What a person would look at first after a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from journey import evidence
from journey.client import ClientError, ConnectionLostError
from journey.stage import Stage, conditions_of
from support.kubectl import Kubectl, KubectlError

_LOG_LINES = 40


def diagnose(stage: Stage) -> Iterator[str]:
    """Conditions, Events, pods, their logs and unfinished workflows; what cannot be read says why."""
    for heading, read in _sections(stage):
        yield f"\n--- {heading}"
        try:
            yield read()
        except (KubectlError, ClientError, ConnectionLostError, AssertionError) as error:
            yield f"cannot be read: {error}"


def _sections(stage: Stage) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "conditions", partial(_conditions, stage)
    for name, kubectl in (("example", stage.kubectl), ("operator", stage.operator)):
        yield f"pods of the {name}", partial(kubectl, "get", "pods", "--output=wide")
        yield f"events of the {name}", partial(_events, kubectl)
    yield "unfinished or failed workflows", partial(_unfinished, stage)
    for kubectl in (stage.operator, stage.kubectl):
        for pod in kubectl.get("pods"):
            name = pod["metadata"]["name"]
            yield f"log of {name}", partial(_log, kubectl, name)
            if any(each["restartCount"] for each in pod["status"].get("containerStatuses", [])):
                yield f"log of {name} before its restart", partial(_log, kubectl, name, "--previous")


def _conditions(stage: Stage) -> str:
    lines = []
    for each in stage.kubectl.get("dbos"):
        what = f"{each['kind']} {each['metadata']['name']}"
        lines += [f"{what}: {c['type']}={c['status']} {c['reason']} {c['message']}" for c in conditions_of(each)]
    return "\n".join(lines)


def _events(kubectl: Kubectl) -> str:
    return "\n".join(kubectl("get", "events", "--sort-by=.lastTimestamp").splitlines()[-_LOG_LINES:])


def _unfinished(stage: Stage) -> str:
    found = [str(each) for each in stage.workflows().values() if each.status != evidence.SUCCEEDED]
    return "\n".join([f"{len(found)}", *found[:_LOG_LINES]])


def _log(kubectl: Kubectl, pod: str, *options: str) -> str:
    return kubectl("logs", pod, f"--tail={_LOG_LINES}", *options)
