"""Events about our objects: what `kubectl describe` shows. Best effort, and never a storm."""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from dbos_operator.cluster.client import ApiSession
from dbos_operator.cluster.paths import core_path
from dbos_operator.cluster.protocol import EventType
from dbos_operator.errors import NotFoundError, OperatorError
from dbos_operator.resources.identity import API_VERSION, Identity, Uid

logger = logging.getLogger(__name__)

COMPONENT = "dbos-operator"
MESSAGE_LIMIT = 1024
BURST = 25
"""Events that one object may have at once; then one more every REFILL. The same bounds as kubelet's."""
REFILL = timedelta(minutes=5)
REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What makes two Events the same one."""

    uid: Uid
    event_type: EventType
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Series:
    """An Event that has been posted: its name, and how often it happened."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many more Events an object may have, as of a moment."""

    tokens: float
    at: datetime

    def spend(self, now: datetime) -> Allowance | None:
        """What is left after one more, or None when there is none to spend."""
        tokens = min(float(BURST), self.tokens + (now - self.at) / REFILL)
        return replace(self, tokens=tokens - 1, at=now) if tokens >= 1 else None


class EventBook:
    """Remembers what was posted, so that a repeated Event is counted instead of written again."""

    def __init__(self) -> None:
        self._series: OrderedDict[Occurrence, Series] = OrderedDict()
        self._allowances: OrderedDict[Uid, Allowance] = OrderedDict()

    def admit(self, occurrence: Occurrence, now: datetime) -> bool:
        """Whether the object may have one more Event now."""
        before = self._allowances.pop(occurrence.uid, Allowance(float(BURST), now))
        after = before.spend(now)
        _remember(self._allowances, occurrence.uid, before if after is None else after)
        return after is not None

    def find(self, occurrence: Occurrence) -> Series | None:
        """The Event that already tells this."""
        return self._series.get(occurrence)

    def note(self, occurrence: Occurrence, series: Series) -> None:
        """Remember what was posted."""
        self._series.pop(occurrence, None)
        _remember(self._series, occurrence, series)


class EventPoster:
    """Posts Events of our objects under the name of the operator."""

    def __init__(self, api: ApiSession, *, instance: str, now: Callable[[], datetime]) -> None:
        self._api = api
        self._instance = instance
        self._now = now
        self._book = EventBook()

    async def post(self, identity: Identity, event_type: EventType, reason: str, message: str) -> None:
        """Tell it once, count it when it repeats; a refusal is logged and nothing else."""
        message = message[:MESSAGE_LIMIT]
        occurrence = Occurrence(identity.uid, event_type, reason, message)
        now = self._now()
        fields = {"kind": identity.kind, "object": str(identity.key), "reason": reason}
        if not self._book.admit(occurrence, now):
            logger.debug("event left out: the object has had many", extra=fields)
            return
        try:
            series = await self._repeat(identity, occurrence, now) or await self._create(identity, occurrence, now)
        except OperatorError as error:
            logger.warning("event could not be posted", extra={**fields, "error": str(error)})
        else:
            self._book.note(occurrence, series)

    async def _repeat(self, identity: Identity, occurrence: Occurrence, now: datetime) -> Series | None:
        before = self._book.find(occurrence)
        if before is None:
            return None
        after = replace(before, count=before.count + 1)
        path = core_path(identity.key.namespace, "events", before.name)
        try:
            await self._api.merge(path, {"count": after.count, "lastTimestamp": rfc3339(now)})
        except NotFoundError:
            # The API server forgets Events after an hour.
            return None
        return after

    async def _create(self, identity: Identity, occurrence: Occurrence, now: datetime) -> Series:
        series = Series(name=f"{identity.key.name[:200]}.{secrets.token_hex(8)}", count=1)
        body = event_body(identity, occurrence, name=series.name, instance=self._instance, now=now)
        await self._api.create(core_path(identity.key.namespace, "events"), body)
        return series


def event_body(
    identity: Identity, occurrence: Occurrence, *, name: str, instance: str, now: datetime
) -> Mapping[str, Any]:
    """An Event of the core group, as `kubectl describe` and `kubectl events` read it."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": identity.key.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": identity.kind.value,
            "namespace": identity.key.namespace,
            "name": identity.key.name,
            "uid": identity.uid,
            "resourceVersion": identity.resource_version,
        },
        "type": occurrence.event_type.value,
        "reason": occurrence.reason,
        "message": occurrence.message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance[:128],
        "firstTimestamp": rfc3339(now),
        "lastTimestamp": rfc3339(now),
        "count": 1,
    }


def rfc3339(moment: datetime) -> str:
    """Kubernetes keeps whole seconds here."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _remember(memory: OrderedDict[Any, Any], key: object, value: object) -> None:
    memory[key] = value
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
