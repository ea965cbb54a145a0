"""Workers of both runtimes beside each other: each run of a schedule happens once, whoever fires it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from dbos import DBOSClient, DebouncerClient
from integration.interoperability.parties import (
    POLL_SECONDS,
    Database,
    OfficialClient,
    official_worker,
    our_worker,
)
from support.waiting import eventually

APPLICATION = "timers"
EVERY_SECOND = "* * * * * *"


@pytest.fixture(scope="module", autouse=True)
def workers(database: Database) -> Iterator[dict[str, int]]:
    """Two workers of ours and one of theirs, of one application; the process IDs."""
    with ExitStack() as stack:
        started = {
            f"ours {number}": stack.enter_context(
                our_worker(database.url, "timers.py", APP=APPLICATION, DBOS__VMID=f"ours-{number}")
            )
            for number in (1, 2)
        }
        started["theirs"] = stack.enter_context(
            official_worker(database.url, "timers", APP=APPLICATION, DBOS__VMID="theirs")
        )
        database.wait_for_application(APPLICATION)
        yield {name: process.pid for name, process in started.items()}


@pytest.fixture(params=["ours", "theirs"])
def creator(request: pytest.FixtureRequest, database: Database, official: OfficialClient, client: DBOSClient) -> Any:
    """Call a client of either runtime about schedules, and give what it gives."""

    def call(name: str, /, **arguments: Any) -> Any:
        if request.param == "ours":
            return getattr(client, name)(**arguments)
        return official.call(database.url, "getattr(client, call)(**arguments)", call=name, arguments=arguments)

    call.kind = request.param  # type: ignore[attr-defined]
    return call


def _runs(database: Database, name: str) -> list[dict[str, Any]]:
    return database.rows(
        "SELECT * FROM dbos.workflow_status WHERE schedule_name = %s AND workflow_uuid NOT LIKE %s ORDER BY created_at",
        name,
        "%trigger%",
    )


def _moments(rows: list[dict[str, Any]], name: str) -> list[datetime]:
    return sorted(datetime.fromisoformat(row["workflow_uuid"].removeprefix(f"sched-{name}-")) for row in rows)


def test_each_run_happens_once_whoever_made_the_schedule(database: Database, creator: Any) -> None:
    name = f"shared-{creator.kind}"
    creator(
        "create_schedule",
        schedule_name=name,
        workflow_name="tick",
        schedule=EVERY_SECOND,
        context={"a": [1]},
        cron_timezone="Asia/Tokyo",
        application_name=APPLICATION,
    )
    eventually(lambda: _runs(database, name), lambda rows: len(rows) >= 6, what="six runs", within=40)
    creator("pause_schedule", name=name)
    done = eventually(
        lambda: _runs(database, name), lambda rows: all(row["status"] == "SUCCESS" for row in rows), what="their ends"
    )
    moments = _moments(done, name)
    # A second apart; a machine that has no time for any of the three workers may skip some.
    assert max(later - earlier for earlier, later in pairwise(moments)) <= timedelta(seconds=10)
    for row in done:
        assert len(database.notes(row["workflow_uuid"])) == 1
        moment = row["workflow_uuid"].removeprefix(f"sched-{name}-")
        assert moment.endswith("+09:00")
        wanted = {"application_version": "v1", "application_name": APPLICATION, "serialization": None}
        assert {column: row[column] for column in wanted} == wanted


def test_both_read_and_trigger_the_schedules_of_the_other(
    database: Database, official: OfficialClient, client: DBOSClient, creator: Any
) -> None:
    name = f"read-{creator.kind}"
    creator(
        "create_schedule",
        schedule_name=name,
        workflow_name="tick",
        schedule="0 0 1 1 *",
        context={"region": ["eu", 1]},
        automatic_backfill=True,
        application_name=APPLICATION,
    )
    ours = client.get_schedule(name)
    theirs = official.call(database.url, "client.get_schedule(name)", name=name)
    assert ours is not None
    assert dict(ours) == {key: value for key, value in theirs.items() if key != "shard_key"}
    triggered: Any = client.trigger_schedule(name).get_result(polling_interval_sec=POLL_SECONDS)
    assert triggered[1] == {"region": ["eu", 1]}
    theirs = official.call(
        database.url, "client.trigger_schedule(name).get_result(polling_interval_sec=0.05)", name=name
    )
    assert theirs[1] == {"region": ["eu", 1]}


def test_a_schedule_that_one_pauses_or_deletes_is_fired_by_none(
    database: Database, official: OfficialClient, client: DBOSClient
) -> None:
    client.create_schedule(
        schedule_name="stopped", workflow_name="tick", schedule=EVERY_SECOND, application_name=APPLICATION
    )
    eventually(lambda: _runs(database, "stopped"), bool, what="a run")
    official.call(database.url, "client.delete_schedule(name)", name="stopped")
    deleted = datetime.now().astimezone()
    eventually(lambda: client.list_schedules(schedule_name_prefix="stopped"), lambda rows: not rows, what="no row")
    last = _moments(_runs(database, "stopped"), "stopped")[-1]
    # Theirs may fire once more: it reads the rows now and then. Ours looks at the row when it fires.
    assert last < deleted + timedelta(seconds=10)


def test_a_worker_that_was_stopped_replays_no_burst(
    database: Database, workers: dict[str, int], client: DBOSClient
) -> None:
    for pid in workers.values():
        os.kill(pid, signal.SIGSTOP)
    client.create_schedule(
        schedule_name="burst", workflow_name="tick", schedule=EVERY_SECOND, application_name=APPLICATION
    )
    os.kill(workers["ours 1"], signal.SIGCONT)
    runs = eventually(lambda: _runs(database, "burst"), lambda rows: len(rows) >= 2, what="two runs")
    os.kill(workers["ours 1"], signal.SIGSTOP)
    before = len(_runs(database, "burst"))
    stopped = datetime.now().astimezone()
    eventually(
        lambda: datetime.now().astimezone(), lambda now: now - stopped > timedelta(seconds=6), what="a pause of 6 s"
    )
    goes_on = datetime.now().astimezone()
    os.kill(workers["ours 1"], signal.SIGCONT)
    eventually(lambda: _runs(database, "burst"), lambda rows: len(rows) >= before + 3, what="runs after the pause")
    client.delete_schedule("burst")
    for name in ("ours 2", "theirs"):
        os.kill(workers[name], signal.SIGCONT)
    missed = [moment for moment in _moments(_runs(database, "burst"), "burst") if stopped < moment < goes_on]
    assert len(missed) <= 2, f"of 6 missed runs {missed} were made up for; {len(runs)} were before"


def test_debouncers_of_both_share_a_key(database: Database, official: OfficialClient, client: DBOSClient) -> None:
    official.register_queue(database.url, "work", application=APPLICATION)
    options = {"workflow_name": "process", "queue_name": "work"}
    theirs = (
        "__import__('dbos').DebouncerClient(client, options, application_name=app).debounce(key, seconds, value)"
        ".workflow_id"
    )

    def by_official(value: int, seconds: float) -> str:
        workflow_id: str = official.call(
            database.url, theirs, options=options, app=APPLICATION, key="k", seconds=seconds, value=value
        )
        return workflow_id

    ours = DebouncerClient(client, options, application_name=APPLICATION)  # type: ignore[arg-type]
    first = ours.debounce("k", 3600, 1).workflow_id
    assert by_official(2, 3600) == first
    assert ours.debounce("k", 0.1, 3).get_result(polling_interval_sec=POLL_SECONDS) == 3
    second = by_official(4, 3600)
    assert second != first
    assert ours.debounce("k", 3600, 5).workflow_id == second
    assert by_official(6, 0.1) == second
    assert client.retrieve_workflow(second).get_result(polling_interval_sec=POLL_SECONDS) == 6
