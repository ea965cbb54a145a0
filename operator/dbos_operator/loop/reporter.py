"""Writes statuses and posts Events: only what changed, never too often, many at once but not too many."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from dbos_operator.cluster.protocol import Cluster, EventType
from dbos_operator.decide.databases import Child
from dbos_operator.errors import NotFoundError, OperatorError
from dbos_operator.reasons import Reason
from dbos_operator.resources.conditions import Condition, ConditionType, Truth, unready_for
from dbos_operator.resources.identity import Identity, Uid
from dbos_operator.resources.resource import Resource
from dbos_operator.resources.specs import DatabaseSpec
from dbos_operator.resources.status import contract_changed, something_happened, status_differs, status_patch
from dbos_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

Render: TypeAlias = Callable[[Mapping[str, Any]], dict[str, Any]]

MOST_FAILURES = 8
"""Writes that may fail in one report: then the API server has other troubles, and the next pass tries again."""
EVENT_PAUSE = timedelta(seconds=25)
"""How often an Event of the same reason is posted about one object for what happens again and again."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The status that an object should show, made from the one that it shows."""

    resource: Child | Resource[DatabaseSpec]
    render: Render
    content: object = None
    """Equal for two drafts of one object that say the same: what was not worth writing is not made again."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An Event about an object."""

    identity: Identity
    reason: Reason
    message: str
    type: EventType = EventType.NORMAL
    repeats: bool = False
    """Whether it happens again and again, and is told now and then."""


@dataclass(slots=True)
class _Shown:
    """What was last written for an object, and from which version of it."""

    status: Mapping[str, Any]
    resource_version: str
    at: datetime


@dataclass(frozen=True, slots=True)
class _Write:
    """A status on its way, and what went wrong so far in its report."""

    status: dict[str, Any]
    at: datetime
    trouble: list[OperatorError]


class Reporter:
    """The one way from a decision to the Kubernetes API, shared by all loops."""

    def __init__(self, cluster: Cluster, settings: OperatorSettings) -> None:
        self._cluster = cluster
        self._settings = settings
        self.limit = asyncio.Semaphore(settings.parallel_writes)
        """Calls in flight, for everything that a pass asks of the API at once."""
        self._shown: dict[Uid, _Shown] = {}
        self._nothing_new: dict[Uid, tuple[object, Mapping[str, Any]]] = {}
        self._posted: dict[tuple[Uid, Reason], datetime] = {}

    async def report(self, drafts: Iterable[Draft], notices: Iterable[Notice], now: datetime) -> int:
        """Write what differs and post the Events; the number of statuses written."""
        due = [notice for notice in notices if self._is_due(notice, now)]
        trouble: list[OperatorError] = []
        writes = []
        for draft in drafts:
            uid, old = draft.resource.identity.uid, self._current(draft.resource)
            if draft.content is not None and self._says_nothing_new(uid, draft.content, old):
                continue
            new = draft.render(old)
            if not status_differs(old, new):
                self._nothing_new[uid] = (draft.content, old)
            elif self._is_due_to_be_written(uid, old, new, now):
                writes.append(self._write(draft.resource.identity, old, _Write(new, now, trouble)))
        written, *_ = await asyncio.gather(
            asyncio.gather(*writes), asyncio.gather(*(self._post(notice) for notice in due))
        )
        return sum(written)

    def current(self, resource: Child | Resource[DatabaseSpec]) -> Mapping[str, Any]:
        """The status that an object shows, as far as it is known."""
        return self._current(resource)

    def is_new_trouble(self, resource: Child | Resource[DatabaseSpec], now: datetime) -> bool:
        """Whether an object has not been ready for so short a time that what it misses may be on its way."""
        shown = self._current(resource).get("conditions") or ()
        return unready_for(shown, now) < self._settings.arrival

    def forget(self, living: frozenset[Uid]) -> None:
        """Drop what is remembered of objects that are gone."""
        self._shown = {uid: shown for uid, shown in self._shown.items() if uid in living}
        self._nothing_new = {uid: known for uid, known in self._nothing_new.items() if uid in living}
        self._posted = {key: moment for key, moment in self._posted.items() if key[0] in living}

    def _current(self, resource: Child | Resource[DatabaseSpec]) -> Mapping[str, Any]:
        """What the watch says once it has seen a version after our write; until then what was written."""
        shown = self._shown.get(resource.identity.uid)
        if shown is not None and shown.resource_version == resource.identity.resource_version:
            return shown.status
        return resource.status

    def _says_nothing_new(self, uid: Uid, content: object, old: Mapping[str, Any]) -> bool:
        known = self._nothing_new.get(uid)
        return known is not None and known[1] is old and known[0] == content

    def _is_due_to_be_written(self, uid: Uid, old: Mapping[str, Any], new: Mapping[str, Any], now: datetime) -> bool:
        """At once when others wait for it, soon when something happened, else at most once in a while."""
        if contract_changed(old, new):
            return True
        shown = self._shown.get(uid)
        pause = self._settings.happenings if something_happened(old, new) else self._settings.telemetry
        return shown is None or now - shown.at >= pause

    async def _write(self, identity: Identity, old: Mapping[str, Any], write: _Write) -> int:
        async with self.limit:
            if len(write.trouble) >= MOST_FAILURES:
                return 0
            try:
                await self._cluster.patch_status(identity, status_patch(old, write.status))
            except NotFoundError:
                return 0
            except OperatorError as error:
                write.trouble.append(error)
                logger.warning("status not written", extra={"object": str(identity.key), "error": str(error)})
                return 0
        self._shown[identity.uid] = _Shown(write.status, identity.resource_version, write.at)
        return 1

    async def _post(self, notice: Notice) -> None:
        async with self.limit:
            await self._cluster.post_event(notice.identity, notice.type, notice.reason.value, notice.message)

    def _is_due(self, notice: Notice, now: datetime) -> bool:
        key = (notice.identity.uid, notice.reason)
        last = self._posted.get(key)
        if notice.repeats and last is not None and now - last < EVENT_PAUSE:
            return False
        self._posted[key] = now
        return True


_UNTOLD = frozenset({Reason.PENDING, Reason.DATABASE_NOT_READY, Reason.DELETING, Reason.RECONCILED, Reason.SUSPENDED})
"""Reasons that need no Event of their own: the object's database tells, or the row's own Event did."""


def transition_notice(
    resource: Child | Resource[DatabaseSpec], before: Mapping[str, Any], conditions: Iterable[Condition]
) -> Notice | None:
    """The Event for an object that has just stopped being ready, or begun to be ready again."""
    ready = next((condition for condition in conditions if condition.type is ConditionType.READY), None)
    if ready is None or ready.reason in _UNTOLD:
        return None
    shown = {condition.get("type"): condition for condition in before.get("conditions") or ()}
    old = shown.get(ConditionType.READY.value, {})
    if old.get("reason") == ready.reason.value:
        return None
    kind = EventType.NORMAL if ready.status is Truth.TRUE else EventType.WARNING
    return Notice(resource.identity, ready.reason, ready.message, kind)
