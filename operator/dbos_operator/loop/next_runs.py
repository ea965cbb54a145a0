"""The next runs of schedules, computed once for each time that one passes: cron texts are slow to follow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from dbos_operator.decide.firing import Clockwork
from dbos_operator.resources.identity import Uid
from dbos_operator.resources.status import MOST_NEXT_RUNS


class NextRuns:
    """What each schedule shows as its next runs."""

    def __init__(self) -> None:
        self._known: dict[Uid, tuple[Clockwork, Sequence[datetime]]] = {}

    def of(self, uid: Uid, clockwork: Clockwork | None) -> Sequence[datetime]:
        """The next runs of a schedule; none while it is paused."""
        if clockwork is None:
            self._known.pop(uid, None)
            return ()
        known = self._known.get(uid)
        if known is not None and known[0] == clockwork:
            return known[1]
        runs = clockwork.rule.upcoming(clockwork.next_due - timedelta(microseconds=1), MOST_NEXT_RUNS)
        self._known[uid] = (clockwork, runs)
        return runs

    def forget(self, living: frozenset[Uid]) -> None:
        """Drop what is known of schedules that are gone."""
        self._known = {uid: known for uid, known in self._known.items() if uid in living}
