"""The store of a test, and a plain connection beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dbos.store.database import SystemDatabase
from support.bystander import Bystander, bystander
from support.store_records import opened


@pytest.fixture
def database(database_url: str) -> Iterator[SystemDatabase]:
    """The system database."""
    with opened(database_url) as store:
        yield store


@pytest.fixture
def sql(database_url: str) -> Iterator[Bystander]:
    """A bystander's connection."""
    with bystander(database_url) as connection:
        yield connection
