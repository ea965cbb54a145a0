"""A worker that is killed at any moment: its successor finishes the work, and repeats no recorded step."""

from __future__ import annotations

import pytest

from chaos.conftest import Site
from support.waiting import eventually

pytestmark = pytest.mark.timeout(400)  # four processes in a row, which a busy machine stretches


@pytest.mark.parametrize(("name", "count", "total"), [("work", 60, 60), ("parent", 15, 45)])
def test_every_workflow_ends_once_and_recorded_steps_are_not_run_again(
    site: Site, name: str, count: int, total: int
) -> None:
    site.enqueue(count, name)
    settled: dict[tuple[str, int], int] = {}
    for kill in range(1, 4):
        with site.worker():
            eventually(lambda: sum(site.effects().values()), lambda acted, kill=kill: acted > 40 * kill, within=60)
        # Killed. What is recorded now is done: no successor may do it again.
        recorded, effects = site.recorded_steps(), site.effects()
        settled |= {step: effects[step] for step in recorded if step not in settled}
    assert settled
    with site.worker() as worker:
        site.settle(total, worker)
    effects = site.effects()
    assert {step: effects[step] for step in settled} == settled
    # A step in flight at a kill runs again, any other exactly once.
    repeated = {step: times for step, times in effects.items() if times > 1}
    assert all(times <= 4 for times in repeated.values()), repeated
    assert len(site.recorded_steps()) == sum(1 for _ in effects)
