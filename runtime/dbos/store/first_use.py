"""Connections of a database that is prepared when the first of them is asked for, not before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from dbos._error import DBOSInitializationError
from dbos.store.backend import Connection, Source
from dbos.store.catalog import Catalog
from dbos.store.dialects.errors import is_connection_lost


class FirstUse:
    """The connections of another source, once a function was called that prepares the database.

    What that function raises reaches whoever asked, and the next one who asks calls it again. A database that
    is not there counts as a connection that was lost, so that whoever tries those again tries this again.
    """

    def __init__(self, source: Source, prepare: Callable[[], None]) -> None:
        self._source = source
        self._prepare = prepare
        self._ready = False
        self._lock = threading.Lock()

    def ready(self) -> None:
        """Prepare the database unless that was done. Raises what is wrong with it."""
        if self._ready:
            return
        with self._lock:
            if self._ready:
                return
            try:
                self._prepare()
            except DBOSInitializationError as error:
                cause = error.__cause__
                if cause is not None and is_connection_lost(cause):
                    raise cause from None
                raise
            self._ready = True

    @property
    def keeps_session(self) -> bool:
        """As Source."""
        return self._source.keeps_session

    @property
    def catalog(self) -> Catalog:
        """As Source."""
        return self._source.catalog

    def connection(self) -> AbstractContextManager[Connection]:
        """As Source."""
        self.ready()
        return self._source.connection()

    def dedicated(self) -> Connection:
        """As Source."""
        self.ready()
        return self._source.dedicated()

    def renew(self) -> None:
        """As Source."""
        self._source.renew()

    def dispose(self) -> None:
        """As Source."""
        self._source.dispose()
