"""Processes that die, freeze or stop: the others of their application go on with what they ran, once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from support.fleet import QUICK, Fleet, fleet_on
from support.peer import start_peer
from support.postgres import running_postgres
from support.silence import SilentNetwork
from support.waiting import eventually

pytestmark = pytest.mark.both_databases


@pytest.fixture
def fleet(database_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """Workers on a database of either kind."""
    with fleet_on(database_url, tmp_path) as workers:
        yield workers


def _fleet_of(fleet: Fleet, *executors: str) -> None:
    for executor in executors:
        fleet.worker(executor)


def test_survivors_go_on_with_what_a_killed_process_of_the_shared_id_ran(fleet: Fleet) -> None:
    _fleet_of(fleet, "local", "local", "local")
    ids = [f"workflow-{number}" for number in range(6)]
    fleet.enqueue(*ids)
    fleet.enqueue("parent", name="parent")
    running = {workflow_id: fleet.process_of(workflow_id) for workflow_id in [*ids, "parent-1"]}
    dead = fleet.at(running["parent-1"])  # its child was started without a queue
    dead.kill()
    lost = {workflow_id for workflow_id, pid in running.items() if pid == dead.process.pid}
    others = set(ids) - lost
    for workflow_id in lost:
        assert eventually(
            lambda workflow_id=workflow_id: fleet.effects(workflow_id)[workflow_id, "waits"], lambda times: times == 2
        )
    fleet.gate.touch()
    rows = {workflow_id: fleet.wait_for_status(workflow_id, "SUCCESS") for workflow_id in [*ids, "parent", "parent-1"]}
    assert {rows[workflow_id]["recovery_attempts"] for workflow_id in lost} == {2}
    assert {rows[workflow_id]["recovery_attempts"] for workflow_id in others} <= {1}
    assert rows["parent-1"]["queue_name"] == "_dbos_internal_queue"
    done = fleet.effects()
    assert {done[workflow_id, what] for workflow_id in [*ids, "parent-1"] for what in ("first", "last")} == {1}
    assert {done[workflow_id, "waits"] for workflow_id in others} <= {1}


def test_a_process_that_starts_leaves_the_living_of_its_id_alone(fleet: Fleet) -> None:
    fleet.worker()
    fleet.enqueue("workflow")
    fleet.process_of("workflow")
    owner = fleet.row("workflow")["owner_xid"]
    fleet.worker()
    assert fleet.row("workflow")["owner_xid"] == owner
    fleet.gate.touch()
    assert fleet.wait_for_status("workflow", "SUCCESS")["recovery_attempts"] == 1


def test_a_process_that_starts_again_takes_its_own_back_at_once(fleet: Fleet) -> None:
    fleet.recovery = {"heartbeat_sec": 600}
    fleet.worker("pod-1")
    fleet.enqueue("workflow")
    fleet.at(fleet.process_of("workflow")).kill()
    fleet.gate.touch()
    fleet.worker("pod-1")
    assert fleet.wait_for_status("workflow", "SUCCESS")["recovery_attempts"] == 2


@pytest.mark.postgresql_only
def test_a_free_lock_tells_of_a_death_on_another_machine(fleet: Fleet) -> None:
    fleet.recovery = QUICK | {"lease_sec": 3600}
    _fleet_of(fleet, "pod-1", "pod-2")
    fleet.move_apart()
    fleet.enqueue("workflow")
    dead = fleet.at(fleet.process_of("workflow"))
    dead.kill()
    fleet.gate.touch()
    assert fleet.wait_for_status("workflow", "SUCCESS")["recovery_attempts"] == 2
    assert fleet.effects("workflow") == {("workflow", "first"): 1, ("workflow", "waits"): 2, ("workflow", "last"): 1}


@pytest.mark.postgresql_only
def test_behind_a_pooler_only_heartbeats_count(fleet: Fleet) -> None:
    fleet.listen = False
    _fleet_of(fleet, "pod-1", "pod-2")
    assert {row["lock_key"] for row in fleet.executors().values()} == {None}
    fleet.move_apart()
    fleet.enqueue("workflow")
    fleet.at(fleet.process_of("workflow")).kill()
    fleet.gate.touch()
    assert fleet.wait_for_status("workflow", "SUCCESS")["recovery_attempts"] == 2
    assert fleet.held_locks() == set()


def test_a_frozen_process_is_taken_over_and_cannot_write_when_it_goes_on(fleet: Fleet) -> None:
    _fleet_of(fleet, "pod-1", "pod-2")
    fleet.enqueue("workflow")
    frozen = fleet.at(fleet.process_of("workflow"))
    frozen.signal(signal.SIGSTOP)
    survivor = eventually(
        lambda: fleet.process_of("workflow"), lambda pid: pid != frozen.process.pid, within=60, explain=fleet.said
    )
    owner = fleet.row("workflow")["owner_xid"]
    assert fleet.executors()[frozen.process.pid]["gone_ms"] is not None
    frozen.signal(signal.SIGCONT)
    frozen.wait_for("was not heard for a while")
    eventually(lambda: fleet.executors()[frozen.process.pid]["gone_ms"], lambda gone: gone is None)
    fleet.gate.touch()  # both executions leave their step now, and one may record it
    row = fleet.wait_for_status("workflow", "SUCCESS")
    assert row["recovery_attempts"] == 2
    assert owner.startswith(fleet.executors()[survivor]["process_token"])
    frozen.wait_for("is owned by another execution")
    assert fleet.effects("workflow")["workflow", "last"] == 1
    fleet.at(survivor).kill()
    fleet.enqueue("later")
    assert fleet.process_of("later", "last") == frozen.process.pid


@pytest.mark.postgresql_only
def test_a_process_behind_a_silent_network_is_taken_over_although_its_lock_is_held(fleet: Fleet) -> None:
    url = make_url(fleet.url)
    assert url.port is not None
    with SilentNetwork(url.port) as network:
        there = url.set(port=network.port, host="127.0.0.1").render_as_string(hide_password=False)
        cut_off = fleet.worker("pod-1", DBOS_SYSTEM_DATABASE_URL=there)
        fleet.enqueue("workflow")
        assert fleet.process_of("workflow") == cut_off.process.pid
        fleet.worker("pod-2")
        network.fall_silent()
        survivor = eventually(
            lambda: fleet.process_of("workflow"), lambda pid: pid != cut_off.process.pid, within=60, explain=fleet.said
        )
        assert len(fleet.held_locks()) == 2, "the server knows nothing of it yet"
        fleet.gate.touch()
        assert fleet.wait_for_status("workflow", "SUCCESS")["executor_id"] == "pod-2"
        network.speak()
        cut_off.wait_for("is owned by another execution")
        assert fleet.effects("workflow")["workflow", "last"] == 1
        assert survivor != cut_off.process.pid


def test_what_a_process_leaves_when_it_stops_is_taken_over_at_once(fleet: Fleet) -> None:
    fleet.recovery = {"heartbeat_sec": 1, "grace_sec": 1800, "lease_sec": 3600}
    for executor in ("pod-1", "pod-2"):
        fleet.worker(executor, DBOS_SHUTDOWN_GRACE_SEC="0")
    fleet.move_apart()
    fleet.enqueue("workflow")
    leaving = fleet.at(fleet.process_of("workflow"))
    leaving.signal(signal.SIGTERM)
    leaving.ended()
    fleet.gate.touch()
    assert fleet.wait_for_status("workflow", "SUCCESS")["recovery_attempts"] == 2
    [survivor] = [worker for worker in fleet.workers if worker is not leaving]
    survivor.signal(signal.SIGTERM)
    assert survivor.ended() == 0
    assert survivor.process.pid not in fleet.executors()


def test_other_versions_keep_what_is_theirs_visible_and_runnable(fleet: Fleet) -> None:
    old, _new = fleet.worker("pod-1"), fleet.worker("pod-2", version="v2")
    fleet.enqueue("workflow")
    fleet.process_of("workflow")
    old.kill()
    row = fleet.wait_for_status("workflow", "ENQUEUED")
    assert (row["application_version"], row["queue_name"], row["recovery_attempts"]) == ("v1", "work", 1)
    fleet.gate.touch()
    fleet.worker("pod-3")
    assert fleet.wait_for_status("workflow", "SUCCESS")["executor_id"] == "pod-3"


def test_a_slot_of_a_dead_process_is_free_again(fleet: Fleet) -> None:
    fleet.concurrency = 1
    _fleet_of(fleet, "pod-1", "pod-2")
    fleet.enqueue("first", "second")
    fleet.at(fleet.process_of("first")).kill()
    fleet.gate.touch()
    for workflow_id in ("first", "second"):
        fleet.wait_for_status(workflow_id, "SUCCESS")
    assert fleet.effects()["first", "last"] == fleet.effects()["second", "last"] == 1


def test_a_workflow_that_kills_its_processes_becomes_a_dead_letter(fleet: Fleet) -> None:
    _fleet_of(fleet, "pod-1", "pod-2")
    fleet.enqueue("fragile", name="fragile")
    fleet.at(fleet.process_of("fragile")).kill()
    row = fleet.wait_for_status("fragile", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
    assert row["recovery_attempts"] == 2
    assert fleet.effects("fragile")["fragile", "first"] == 1


_OFFICIAL = """
import os, sys, time
from dbos import DBOS
DBOS(config={"name": "orders", "system_database_url": sys.argv[1], "application_version": "v0", "executor_id": "peer"})
@DBOS.step()
def wait_for_gate():
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.05)
@DBOS.workflow(name="work")
def work():
    wait_for_gate()
    return "by the peer"
DBOS.launch()
handle = DBOS.start_workflow(work)
print(handle.workflow_id, flush=True)
handle.get_result()
print("ended", flush=True)
sys.stdin.readline()
DBOS.destroy()
"""


def test_what_runs_in_the_published_package_is_never_taken_over(fleet: Fleet, peer: Path) -> None:
    _fleet_of(fleet, "pod-1", "pod-2")
    with start_peer(_OFFICIAL, fleet.url, str(fleet.gate)) as official:
        try:
            assert official.stdout is not None
            theirs = official.stdout.readline().strip()
            owner = fleet.row(theirs)["owner_xid"]
            fleet.enqueue("ours")
            dead = fleet.at(fleet.process_of("ours"))
            dead.kill()
            eventually(lambda: fleet.effects()["ours", "waits"], lambda times: times == 2, explain=fleet.said)
            fleet.worker("pod-3")
            assert fleet.row(theirs)["owner_xid"] == owner
            fleet.gate.touch()
            assert official.stdout.readline().strip() == "ended"
            assert fleet.row(theirs)["recovery_attempts"] == 1
            fleet.wait_for_status("ours", "SUCCESS")
        finally:
            official.kill()


@pytest.mark.postgresql_only
def test_a_restart_of_the_server_takes_nothing_from_anybody(tmp_path: Path) -> None:
    recovery = {"heartbeat_sec": 0.4, "grace_sec": 2, "lease_sec": 4}
    with running_postgres() as server, fleet_on(server.create_database(), tmp_path, recovery=recovery) as fleet:
        _fleet_of(fleet, "local", "local", "local")
        fleet.move_apart()
        ids = [f"workflow-{number}" for number in range(6)]
        fleet.enqueue(*ids)
        for workflow_id in ids:
            fleet.process_of(workflow_id)
        owners = {workflow_id: fleet.row(workflow_id)["owner_xid"] for workflow_id in ids}
        server.stop()
        eventually(
            lambda: [worker.said.count("heartbeat of this executor could not be stored") for worker in fleet.workers],
            all,
            what="all noticed it",
        )
        server.start()
        fleet.connect_again()
        # Everybody is back for longer than the lease that a lost one would have had.
        eventually(
            fleet.executors,
            lambda rows: all(row["heartbeat_ms"] - row["steady_since_ms"] > 5_000 for row in rows.values()),
            explain=fleet.said,
            within=60,
        )
        assert [row["gone_ms"] for row in fleet.executors().values()] == [None] * 3
        assert {workflow_id: fleet.row(workflow_id)["owner_xid"] for workflow_id in ids} == owners
        fleet.gate.touch()
        for workflow_id in ids:
            assert fleet.wait_for_status(workflow_id, "SUCCESS")["recovery_attempts"] == 1
        assert set(fleet.effects().values()) == {1}
        assert fleet.held_locks() == {row["lock_key"] for row in fleet.executors().values()}
