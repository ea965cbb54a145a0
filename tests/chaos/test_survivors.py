"""Workers of one shared executor ID that are killed one after the other, while others go on."""

from __future__ import annotations

from contextlib import ExitStack

import psycopg
import pytest

from chaos.conftest import APPLICATION, Site
from support.waiting import eventually
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.timeout(500)  # six processes, which a busy machine stretches
QUICK = '{"heartbeat_sec": 0.5, "grace_sec": 2, "lease_sec": 60}'


def _worker(site: Site, number: int) -> WorkerProcess:
    """One of several workers that all are called `local`."""
    folder = site.folder / f"worker-{number}"
    folder.mkdir()
    (folder / "effects").symlink_to(site.folder / "effects")
    application = APPLICATION.replace('{"name": "orders"}', f'{{"name": "orders", "recovery": {QUICK}}}')
    environment = {"DBOS_SYSTEM_DATABASE_URL": site.url, "DBOS__APPVERSION": "v1"}
    return WorkerProcess(folder, application, environment=environment)


def _elsewhere(site: Site) -> None:
    """Let every process so far look as if it ran on a machine of its own, where only its lock tells that it died."""
    with psycopg.connect(site.url, autocommit=True) as connection:
        connection.execute("UPDATE dbos_runtime.executors SET machine = process_token")


@pytest.mark.parametrize("apart", [False, True], ids=["on one machine", "on machines of their own"])
def test_survivors_finish_everything_and_repeat_no_recorded_step(site: Site, apart: bool) -> None:
    (site.folder / "effects").touch()
    settled: dict[tuple[str, int], int] = {}
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(site, number)) for number in range(3)]
        for worker in workers:
            worker.wait_for("launched", within=60)
        site.enqueue(40, "parent")
        for kill in range(1, 4):
            if apart:
                _elsewhere(site)
            eventually(lambda: sum(site.effects().values()), lambda acted, kill=kill: acted > 60 * kill, within=60)
            workers[kill - 1].kill()
            recorded, effects = site.recorded_steps(), site.effects()
            settled |= {step: effects[step] for step in recorded if step not in settled}
            workers.append(stack.enter_context(_worker(site, len(workers))))
            workers[-1].wait_for("launched", within=60)
        site.settle(120, workers[-1], within=90)
    assert settled
    effects = site.effects()
    assert {step: effects[step] for step in settled} == settled
    repeated = {step: times for step, times in effects.items() if times > 1}
    assert all(times <= 4 for times in repeated.values()), repeated
    assert len(site.recorded_steps()) == len(effects)
