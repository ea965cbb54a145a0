"""Events about our objects: what `kubectl describe` shows. Best effort, and never a storm."""

from __future__ import annotations

import asyncio
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
"""Events that one object may have at once for one reason; then one more every REFILL. The same bounds as kubelet's."""
REFILL = timedelta(minutes=5)
REMEMBERED = 4096
LANES = 4
"""Events under way at once; those of one object share a lane."""
LANE_LENGTH = 4096
CLOSING_TIME = 3.0


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
    """How many more Events of a reason an object may have, as of a moment: the frequent never drown the rare."""

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
        self._allowances: OrderedDict[tuple[Uid, str], Allowance] = OrderedDict()

    def admit(self, occurrence: Occurrence, now: datetime) -> bool:
        """Whether the object may have one more Event of that reason now."""
        key = (occurrence.uid, occurrence.reason)
        before = self._allowances.pop(key, Allowance(float(BURST), now))
        after = before.spend(now)
        _remember(self._allowances, key, before if after is None else after)
        return after is not None

    def find(self, occurrence: Occurrence) -> Series | None:
        """The Event that already tells this."""
        return self._series.get(occurrence)

    def note(self, occurrence: Occurrence, series: Series) -> None:
        """Remember what was posted."""
        self._series.pop(occurrence, None)
        _remember(self._series, occurrence, series)


@dataclass(frozen=True, slots=True)
class Letter:
    """An Event on its way to the API server."""

    identity: Identity
    occurrence: Occurrence
    at: datetime


class EventPoster:
    """Posts Events of our objects under the name of the operator, behind the back of who reports them.

    Whoever reports goes on at once: conditions, which others wait for, do not
    queue behind Events. Events of one object stay in order.
    """

    def __init__(self, api: ApiSession, *, instance: str, now: Callable[[], datetime]) -> None:
        self._api = api
        self._instance = instance
        self._now = now
        self._book = EventBook()
        self._lanes: list[asyncio.Queue[Letter]] = [asyncio.Queue(LANE_LENGTH) for _ in range(LANES)]
        self._carriers: list[asyncio.Task[None]] = []

    def post(self, identity: Identity, event_type: EventType, reason: str, message: str) -> None:
        """Have it told once, and counted when it repeats."""
        occurrence = Occurrence(identity.uid, event_type, reason, message[:MESSAGE_LIMIT])
        letter = Letter(identity, occurrence, self._now())
        if not self._book.admit(occurrence, letter.at):
            logger.debug("event left out: the object has had many", extra=_fields(letter))
            return
        if not self._carriers:
            self._carriers = [asyncio.create_task(self._carry(lane), name="events") for lane in self._lanes]
        try:
            self._lanes[hash(identity.uid) % LANES].put_nowait(letter)
        except asyncio.QueueFull:
            logger.warning("event left out: too many wait to be posted", extra=_fields(letter))

    async def drain(self) -> None:
        """Return when everything that was reported has been posted or refused."""
        await asyncio.gather(*(lane.join() for lane in self._lanes))

    async def close(self) -> None:
        """Give what is on its way a moment, and end."""
        try:
            await asyncio.wait_for(self.drain(), CLOSING_TIME)
        except TimeoutError:
            logger.warning("events left out: the API server was too slow for the last ones")
        for carrier in self._carriers:
            carrier.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)

    async def _carry(self, lane: asyncio.Queue[Letter]) -> None:
        while True:
            letter = await lane.get()
            try:
                await self._deliver(letter)
            except OperatorError as error:
                logger.warning("event could not be posted", extra={**_fields(letter), "error": str(error)})
            except Exception:
                # The boundary of the task: one letter must not end its lane.
                logger.exception("event could not be posted", extra=_fields(letter))
            finally:
                lane.task_done()

    async def _deliver(self, letter: Letter) -> None:
        series = await self._repeat(letter) or await self._create(letter)
        self._book.note(letter.occurrence, series)

    async def _repeat(self, letter: Letter) -> Series | None:
        before = self._book.find(letter.occurrence)
        if before is None:
            return None
        after = replace(before, count=before.count + 1)
        path = core_path(letter.identity.key.namespace, "events", before.name)
        try:
            await self._api.merge(path, {"count": after.count, "lastTimestamp": rfc3339(letter.at)})
        except NotFoundError:
            # The API server forgets Events after an hour.
            return None
        return after

    async def _create(self, letter: Letter) -> Series:
        series = Series(name=f"{letter.identity.key.name[:200]}.{secrets.token_hex(8)}", count=1)
        body = event_body(letter, name=series.name, instance=self._instance)
        await self._api.create(core_path(letter.identity.key.namespace, "events"), body)
        return series


def event_body(letter: Letter, *, name: str, instance: str) -> Mapping[str, Any]:
    """An Event of the core group, as `kubectl describe` and `kubectl events` read it."""
    identity, occurrence, moment = letter.identity, letter.occurrence, rfc3339(letter.at)
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
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


def rfc3339(moment: datetime) -> str:
    """Kubernetes keeps whole seconds here."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _fields(letter: Letter) -> dict[str, str]:
    return {
        "kind": letter.identity.kind.value,
        "object": str(letter.identity.key),
        "reason": letter.occurrence.reason,
    }


def _remember(memory: OrderedDict[Any, Any], key: object, value: object) -> None:
    memory[key] = value
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
