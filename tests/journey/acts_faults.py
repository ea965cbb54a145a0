"""What goes wrong in a cluster: pods deleted gently and by force, a lost operator, a database that restarts."""

from __future__ import annotations

import time
from collections import Counter

from journey import evidence, example
from journey.stage import GENEROUS, OPERATOR_SELECTOR, Stage, is_ready, restarts_of

DRAIN_SECONDS = 60.0


def graceful_deletion(stage: Stage) -> None:
    """A pod that is deleted ends what it runs, hands back what it has not begun, and exits with 0."""
    orders = stage.start_orders("drained", 24, seconds_per_step=1.5)
    running = stage.until_running(orders, on=2, begun=1)
    pod = max(running, key=lambda name: len(running[name]))
    before = {each.workflow_id: each for each in running[pod]}
    began = time.monotonic()
    stage.kubectl("delete", "pod", pod, "--wait=false")
    stage.pods.until(lambda pods: pod not in pods, within=DRAIN_SECONDS, what=f"end of {pod}")
    took = time.monotonic() - began
    left = stage.running(orders).get(pod, [])
    assert not left, f"{pod} left {[each.workflow_id for each in left]}"
    assert (status := stage.exit_status(pod)) == 0, f"{pod} ended with {status}"
    stage.show.note(f"{pod} with {len(before)} running ended with 0 after {took:.1f} s and left nothing")

    stage.until_succeeded(orders)
    done = stage.prove(orders)
    where = Counter("there" if each.executor == pod else "elsewhere" for each in done if each.workflow_id in before)
    assert where["there"], "it finished nothing itself"
    stage.show.note(f"of those, {where['there']} ended there and {where['elsewhere']} elsewhere, each in one attempt")


def forced_deletion(stage: Stage) -> None:
    """What a pod deleted by force was running is finished by others, from its last recorded step on."""
    orders = stage.start_orders("forced", 20, seconds_per_step=2.5)
    running = stage.until_running(orders, on=2, begun=3)
    pod = max(running, key=lambda name: sum(len(each.step_ids) for each in running[name]))
    stage.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    lost = {each.workflow_id: each for each in stage.running(orders)[pod]}
    began = time.monotonic()
    stage.show.note(
        f"{pod} is gone with {len(lost)} running, {sum(len(each.step_ids) for each in lost.values())} steps"
    )

    stage.until_succeeded(orders)
    done = {each.workflow_id: each for each in stage.prove(orders, attempts=(1, 2))}
    moved = [each for identifier in lost if (each := done[identifier]).executor != pod]
    assert moved, "nothing was left to others"
    wrong = [each.workflow_id for each in done.values() if each.attempts != (2 if each in moved else 1)]
    assert not wrong, f"another number of attempts: {wrong}"
    stage.prove_replayed(lost)
    events = [each["message"] for each in stage.kubectl.get("events") if each["reason"] == "Recovered"]
    first = "the operator" if any(pod in message for message in events) else "a worker"
    took = time.monotonic() - began
    stage.show.note(f"{first} noticed; {len(moved)} of them were finished elsewhere, {took:.1f} s later")


def operator_killed(stage: Stage) -> None:
    """The operator's pod is killed and replaced: no order and no due time is lost or done twice."""
    stage.until_no_workers()
    first = len(stage.runs())
    stage.suspend_schedule(suspended=False)
    stage.until_runs(first + 1)
    (old,) = (pod["metadata"]["name"] for pod in stage.operator.get("pods", "--selector", OPERATOR_SELECTOR))
    stage.operator("delete", "pod", old, "--grace-period=0", "--force")
    began = time.monotonic()
    orders = stage.start_orders("unattended", 30, seconds_per_step=0.5)
    stage.operator_pods.until(
        lambda pods: any(is_ready(pod) for name, pod in pods.items() if name != old), within=GENEROUS, what="operator"
    )
    back = time.monotonic() - began
    stage.until_runs(len(stage.runs()) + 3)
    stage.suspend_schedule(suspended=True)
    stage.show.note(f"{old} was replaced after {back:.1f} s; the schedule goes on")

    stage.until_succeeded(orders)
    stage.prove(orders)
    runs = stage.runs()[first:]
    stage.until_all_succeeded()
    missing = evidence.missing_runs(runs, example.SCHEDULE, example.PERIOD)
    assert not missing, "\n".join(missing)
    stage.prove_swept()
    stage.show.note(f"{len(orders)} orders and {len(runs)} runs, one for each due time, each done once")


def database_restarted(stage: Stage) -> None:
    """PostgreSQL restarts under load: workers and operator wait for it, and nothing is lost."""
    first = len(stage.runs())
    stage.suspend_schedule(suspended=False)
    orders = stage.start_orders("running", 20, seconds_per_step=1.5)
    with stage.load("acknowledged", seconds_per_step=0.2) as acknowledged:
        stage.until_runs(first + 1)
        stage.until_running(orders, on=2, begun=2)
        pods = [*stage.workers().values(), *stage.operator_pods.objects.values()]
        before = restarts_of(pods)
        began = time.monotonic()
        stage.restart_database()
        stage.show.note(f"PostgreSQL is back after {time.monotonic() - began:.1f} s")
        stage.until_runs(len(stage.runs()) + 2)
    orders += acknowledged
    stage.suspend_schedule(suspended=True)
    stage.until_succeeded(orders)
    stage.prove(orders)
    runs = stage.runs()[first:]
    stage.until_all_succeeded()
    missing = evidence.missing_runs(runs, example.SCHEDULE, example.PERIOD)
    assert not missing, "\n".join(missing)
    stage.prove_swept()
    now = restarts_of([*stage.pods.objects.values(), *stage.operator_pods.objects.values()])
    restarted = [name for name, count in before.items() if now.get(name, count) != count]
    assert not restarted, f"restarted: {restarted}"
    stage.show.note(f"{len(orders)} orders and {len(runs)} runs, each done once; no container was restarted")
