"""News between processes: who hears what, and what happens where nobody is told."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest

from dbos import DBOS, DBOSClient, SetWorkflowID
from integration.runtime.conftest import Launch
from support.waiting import eventually

CHANNELS = ("dbos_notifications_channel", "dbos_workflow_events_channel", "dbos_streams_channel")


def _talker() -> Any:
    @DBOS.workflow()
    def talker(count: int) -> None:
        for number in range(count):
            DBOS.set_event("key::with::colons", number)
            DBOS.write_stream("stream", number)

    return talker


def _start(workflow: Any, workflow_id: str, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(workflow, *args)


def test_news_go_out_on_the_channels_of_every_sdk_after_their_commit_and_together(
    launch: Launch, database_url: str
) -> None:
    talker = _talker()
    told = {
        ("dbos_notifications_channel", "w::__null__topic__"),
        ("dbos_workflow_events_channel", "w::key::with::colons"),
        ("dbos_streams_channel", "w::stream"),
    }
    launch(notification_coalesce_sec=1)
    with psycopg.connect(database_url, autocommit=True) as listener:
        for channel in CHANNELS:
            listener.execute(f"LISTEN {channel}")
        _start(talker, "w", 50).get_result()
        DBOS.send("w", 1)
        heard: list[tuple[str, str]] = []

        def listen() -> set[tuple[str, str]]:
            heard.extend((news.channel, news.payload) for news in listener.notifies(timeout=0.5))
            return set(heard)

        eventually(listen, lambda found: found >= told, what="news of each kind")
        assert listen() == told
    assert len(heard) < 60, "a hundred were told one by one"


def test_without_listening_nobody_is_told_and_waiters_look(launch: Launch, database_url: str) -> None:
    talker = _talker()

    @DBOS.workflow()
    def waiter() -> list[Any]:
        return [DBOS.recv(timeout_seconds=30), DBOS.get_event("w", "key::with::colons", 30)]

    launch(use_listen_notify=False, notification_listener_polling_interval_sec=0.05)
    with psycopg.connect(database_url, autocommit=True) as listener:
        for channel in CHANNELS:
            listener.execute(f"LISTEN {channel}")
        handle = _start(waiter, "waiter")
        time.sleep(0.2)
        with DBOSClient(system_database_url=database_url) as client:
            client.send("waiter", "message")
        _start(talker, "w", 1)
        assert handle.get_result() == ["message", 0]
        told = [*listener.notifies(timeout=30, stop_after=1), *listener.notifies(timeout=0.2)]
    assert [news.channel for news in told] == ["dbos_notifications_channel"]  # by the trigger of the schema


def test_a_listener_that_is_cut_off_misses_nothing(launch: Launch, database_url: str) -> None:
    @DBOS.workflow()
    def waiter() -> Any:
        return DBOS.get_event("later", "key", 60)

    launch()
    handle = _start(waiter, "waiter")
    with psycopg.connect(database_url, autocommit=True) as sql:
        listening = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()"
        eventually(lambda: sql.execute(listening).fetchall(), bool)
        eventually(
            lambda: sql.execute("SELECT 1 FROM dbos.operation_outputs WHERE function_name = 'DBOS.sleep'").fetchall(),
            bool,
        )
        for (pid,) in sql.execute(listening).fetchall():
            sql.execute("SELECT pg_terminate_backend(%s)", [pid])
        sql.execute("INSERT INTO dbos.workflow_status (workflow_uuid, status) VALUES ('later', 'SUCCESS')")
        sql.execute("INSERT INTO dbos.workflow_events VALUES ('later', 'key', '\"found\"', 'portable_json')")
    began = time.monotonic()
    assert handle.get_result() == "found"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("count", [200])
def test_many_waiters_need_one_connection(launch: Launch, database_url: str, count: int) -> None:
    @DBOS.workflow()
    async def waiter() -> Any:
        return await DBOS.recv_async(None, 120)

    launch()
    before = threading.active_count()
    handles = [_start(waiter, f"w{number}") for number in range(count)]
    with psycopg.connect(database_url, autocommit=True) as sql:
        asleep = "SELECT count(*) FROM dbos.operation_outputs WHERE function_name = 'DBOS.sleep'"
        eventually(lambda: sql.execute(asleep).fetchone(), lambda row: row == (count,))
        listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()"
        eventually(lambda: sql.execute(listening).fetchone(), lambda row: row == (1,))
    assert threading.active_count() < before + 40
    with DBOSClient(system_database_url=database_url) as client:
        for number in range(count):
            client.send(f"w{number}", number)
    assert [handle.get_result() for handle in handles] == list(range(count))
