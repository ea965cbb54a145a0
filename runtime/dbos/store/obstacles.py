"""What tells in a query whether a workflow waits that nobody can take; the reasons are those of core.dispatch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Table, and_, case, exists, func, literal, or_

from dbos.core.dispatch import RESERVED_PREFIX
from dbos.store.filters import WAITING

PARTITION_LIMITS = ("partition_concurrency", "partition_worker_concurrency", "partition_rate_limit_max")
_SEPARATOR = "\x1f"


def is_undispatchable(status: Table, queues: Table, refused: Iterable[tuple[str, str]]) -> Any:
    """The condition; `refused` are applications, and keys of functions that their processes refused lately."""
    row, queue = status.c, queues.c
    of_its_application = or_(
        queue.application_name.is_(None),
        row.application_name.is_(None),
        queue.application_name == row.application_name,
    )
    served = or_(
        func.substr(row.queue_name, 1, len(RESERVED_PREFIX)) == RESERVED_PREFIX,
        exists().where(queue.name == row.queue_name, of_its_application),
    )
    partitioned = or_(*(queue[limit].is_not(None) for limit in PARTITION_LIMITS))
    keyless = and_(row.queue_partition_key.is_(None), exists().where(queue.name == row.queue_name, partitioned))
    obstacles = [~served, keyless]
    for application, keys in _by_application(refused).items():
        owner = or_(row.application_name.is_(None), row.application_name == application)
        obstacles.append(and_(owner, _function_key(row).in_(keys)))
    return and_(row.status.in_(WAITING), row.queue_name.is_not(None), or_(*obstacles))


def _function_key(row: Any) -> Any:
    class_name, config_name = (
        case((func.coalesce(column, "") == "", ""), else_=literal(_SEPARATOR) + column)
        for column in (row.class_name, row.config_name)
    )
    return func.coalesce(row.name, "") + class_name + config_name


def _by_application(refused: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    keys: dict[str, list[str]] = {}
    for application, key in sorted(refused):
        keys.setdefault(application, []).append(key)
    return keys
