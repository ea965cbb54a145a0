"""Which duties of its application this process holds: what exactly one living process does."""

from __future__ import annotations

from functools import partial

from dbos.engine.uuids import new_uuid
from dbos.store.database import SystemDatabase
from dbos.store.duties import drop_duties, hold_duty


class Duties:
    """The duties of one process, under a name of its own: processes may share an executor ID."""

    def __init__(self, database: SystemDatabase, application: str) -> None:
        self._database = database
        self._application = application
        self.holder = new_uuid()
        self._asked = False

    def hold(self, duty: str, *, seconds: float, patient: bool = True) -> bool:
        """Take a duty for that many seconds, or go on holding it; whether it is this process's.

        Where the database has no tables for duties every process has every duty. Without `patient` a lost
        connection raises.
        """
        if not self._database.has_runtime_tables:
            return True
        self._asked = True
        perform = self._database.run if patient else self._database.attempt
        return perform(
            partial(
                hold_duty,
                system_schema=self._database.schema,
                application=self._application,
                duty=duty,
                holder=self.holder,
                seconds=seconds,
            )
        )

    def drop(self) -> None:
        """Give up every duty, so that another process need not wait for its end. Raises what the database says."""
        if self._asked:
            self._asked = False
            self._database.attempt(
                partial(
                    drop_duties,
                    system_schema=self._database.schema,
                    application=self._application,
                    holder=self.holder,
                )
            )
