"""A gateway whose server hangs can be left by another thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from dbos_operator.errors import DatabaseUnavailableError
from dbos_operator.gateway.protocol import Gateway, ObserveRequest
from support.waiting import eventually

Sql = Callable[..., list[dict[str, Any]]]


def test_who_waits_for_an_answer_fails_at_once_and_the_next_call_connects_afresh(
    gateway: Gateway, sql: Sql, database_url: str
) -> None:
    request = ObserveRequest(queue_names=("q",), schedule_names=(), wanted=())
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(database_url) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute("LOCK TABLE dbos.queues")
        work = pool.submit(gateway.observe, request)
        eventually(lambda: sql(waiting), bool, what="a look that waits")
        gateway.abandon()
        with pytest.raises(DatabaseUnavailableError):
            work.result(30)
    assert gateway.observe(request).rows.rows == {}
