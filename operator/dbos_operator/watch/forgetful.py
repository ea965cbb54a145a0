"""kopf's stores, replaced by ones that keep nothing: no annotation can be written, and no body is copied to compare."""

from __future__ import annotations

from typing import Any

import kopf


class NoDiffBase(kopf.DiffBaseStorage):
    """Finds no difference, for handlers of events ask for none."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing to compare. The base class would copy the whole object for each event."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> None:
        """Nothing was kept."""
        return

    def store(self, **_: Any) -> None:
        """Keep nothing."""


class NoProgress(kopf.ProgressStorage):
    """Remembers no handler: those of events are never tried again."""

    def fetch(self, **_: Any) -> None:
        """Nothing was kept."""
        return

    def store(self, **_: Any) -> None:
        """Keep nothing."""

    def purge(self, **_: Any) -> None:
        """Nothing to remove."""

    def touch(self, **_: Any) -> None:
        """Nothing to write."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """Nothing of ours is in there."""
        return essence
