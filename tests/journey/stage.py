"""What every act has at hand: the cluster, the database as pods see it, and the workflows that were started."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from journey import evidence, example
from journey.client import PodClient
from journey.evidence import Workflow
from journey.figures import Samples, parse_metrics
from journey.images import ROOT
from journey.settings import Settings
from journey.show import Show
from journey.watches import Object, Watch
from support.helm import Helm
from support.kubectl import Kubectl
from support.waiting import eventually

_LOAD_PAUSE_SECONDS = 0.2
GENEROUS = 180.0
"""For what usually takes seconds: a slow machine is no failure."""

CHART = ROOT / "charts" / "dbos-operator"
RELEASE = "dbos-operator"
DEFAULT_DATABASE_SECRET = "default-db"
OPERATOR_SELECTOR = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component!=test"


@dataclass
class Stage:
    """One run of the journey, in two namespaces and a database of its own."""

    settings: Settings
    show: Show
    values: list[str]
    """What each `helm install` and `helm upgrade` is told of the image."""
    manifests: dict[str, list[example.Manifest]]
    """The manifests of the example, by file."""
    cluster: Kubectl
    helm: Helm
    kubectl: Kubectl
    """Speaks about the example's namespace."""
    operator: Kubectl
    """Speaks about the release's namespace."""
    client: PodClient
    loader: PodClient
    """A second line to the same pod, for what goes on beside the acts."""
    database_url: str
    """Of this run's own database, as pods reach it."""
    default_database_url: str
    """Of another one, for the chart's default database."""
    earlier_runs: set[str]
    """Whose namespaces were found and removed."""
    pods: Watch
    deployments: Watch
    operator_pods: Watch
    started: list[str] = field(default_factory=list)
    """The orders that were started by the journey itself."""

    # -- work ------------------------------------------------------------------------------------------------------

    def start_orders(self, act: str, count: int, *, seconds_per_step: float) -> list[str]:
        """Enqueue orders as a client does; the IDs say which act began them."""
        ids = [f"{act}-{number:03}" for number in range(1, count + 1)]
        self.started += ids
        self.client.enqueue(example.ORDER_OPTIONS, {each: [each, seconds_per_step] for each in ids})
        return ids

    @contextmanager
    def load(self, act: str, *, seconds_per_step: float) -> Iterator[list[str]]:
        """Enqueue one order after the other for the length of the block; the list grows and is complete after it.

        An order whose enqueueing fails is enqueued again under its ID, as a careful client does.
        """
        ids: list[str] = []
        stop = threading.Event()

        def enqueue() -> None:
            while not stop.wait(_LOAD_PAUSE_SECONDS):
                identifier = f"{act}-{len(ids) + 1:03}"
                ids.append(identifier)
                self.started.append(identifier)
                self.loader.enqueue(example.ORDER_OPTIONS, {identifier: [identifier, seconds_per_step]})

        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(enqueue)
            try:
                yield ids
            finally:
                stop.set()
            work.result()

    def workflows(self) -> dict[str, Workflow]:
        """Every workflow of the database, by ID."""
        found = evidence.parse_rows(self.client.rows(evidence.QUERY))
        return {workflow.workflow_id: workflow for workflow in found}

    def running(self, ids: Collection[str]) -> dict[str, list[Workflow]]:
        """Which of these workflows run now, by executor."""
        by_executor: dict[str, list[Workflow]] = defaultdict(list)
        for workflow in self.workflows().values():
            if workflow.workflow_id in ids and workflow.status == evidence.RUNNING and workflow.executor:
                by_executor[workflow.executor].append(workflow)
        return dict(by_executor)

    def until_running(self, ids: Collection[str], *, on: int, begun: int = 0) -> dict[str, list[Workflow]]:
        """Wait until so many pods run some of these workflows, each with so many steps recorded."""

        def ready(running: dict[str, list[Workflow]]) -> bool:
            steps = [sum(len(each.step_ids) for each in workflows) for workflows in running.values()]
            return len([number for number in steps if number >= begun]) >= on

        return eventually(lambda: self.running(ids), ready, within=GENEROUS, what=f"work on {on} pods")

    def until_succeeded(self, ids: Collection[str]) -> None:
        """Wait until all of these workflows have succeeded; one that failed ends the wait."""

        def left(workflows: dict[str, Workflow]) -> list[str]:
            return [each for each in ids if each not in workflows or not workflows[each].succeeded]

        def over(workflows: dict[str, Workflow]) -> bool:
            failed = [each for each in ids if each in workflows and workflows[each].status in evidence.FAILED]
            assert not failed, f"failed: {failed}"
            return not left(workflows)

        eventually(self.workflows, over, within=GENEROUS, what="success of all")

    def until_all_succeeded(self) -> None:
        """Wait until nothing is left to do: a run of the schedule enqueues its orders before it ends."""
        self.until_succeeded([run.workflow_id for run in self.runs()])
        self.until_succeeded(list(self.workflows()))

    def scrape(self, url: str) -> Samples:
        """The samples that an address serves to pods."""
        status, text = self.client.http(url)
        assert status == 200, f"{url} answered {status}: {text[:300]}"
        return parse_metrics(text)

    def prove(self, ids: Collection[str], *, attempts: Collection[int] = (1,)) -> list[Workflow]:
        """The rows of these orders; an AssertionError when one was lost, doubled or done in another way."""
        workflows = self.workflows()
        wrong = evidence.lost_or_unknown(list(workflows.values()), ids, self.started, example.SCHEDULE)
        found = [workflows[each] for each in ids if each in workflows]
        for each in found:
            wrong += evidence.wrong_outcomes(each, steps=example.ORDER_STEPS, attempts=attempts)
        assert not wrong, "\n".join(wrong)
        return found

    def prove_swept(self) -> None:
        """Each run of the schedule is done, and has enqueued its orders once, which are done too."""
        workflows = self.workflows().values()
        wrong: list[str] = []
        for run in evidence.runs_of(list(workflows), example.SCHEDULE):
            wrong += evidence.wrong_outcomes(run, steps=None, attempts=(1, 2))
            orders = [each for each in workflows if each.parent == run.workflow_id]
            if len(orders) != example.ORDERS_PER_RUN:
                wrong.append(f"{run.workflow_id}: expected {example.ORDERS_PER_RUN} orders, found {len(orders)}")
            for order in orders:
                wrong += evidence.wrong_outcomes(order, steps=example.ORDER_STEPS, attempts=(1, 2))
        assert not wrong, "\n".join(wrong)

    def prove_replayed(self, before: Mapping[str, Workflow]) -> None:
        """What was recorded before is as it was: replayed, not run again."""
        now = self.workflows()
        wrong = [each for identifier, old in before.items() for each in evidence.repeated_steps(old, now[identifier])]
        assert not wrong, "\n".join(wrong)

    def prove_all(self) -> None:
        """Everything that was ever started is done, and nothing else is there."""
        self.prove(self.started, attempts=(1, 2))
        self.prove_swept()

    # -- the schedule ----------------------------------------------------------------------------------------------

    def runs(self) -> list[Workflow]:
        """The runs of the schedule, in the order of their due times."""
        return evidence.runs_of(list(self.workflows().values()), example.SCHEDULE)

    def until_runs(self, count: int) -> list[Workflow]:
        """Wait until there are so many runs of the schedule."""
        return eventually(self.runs, lambda runs: len(runs) >= count, within=GENEROUS, what=f"{count} runs")

    def suspend_schedule(self, *, suspended: bool) -> None:
        """Suspend or resume the schedule, and wait until its row says so."""
        patch = json.dumps({"spec": {"suspend": suspended}})
        self.kubectl("patch", "dbosschedule", example.SCHEDULE, "--type=merge", f"--patch={patch}")
        wanted = "PAUSED" if suspended else "ACTIVE"
        query = "SELECT status FROM dbos.workflow_schedules WHERE schedule_name = %s"
        read = lambda: self.client.rows(query, example.SCHEDULE)  # noqa: E731
        eventually(read, lambda rows: rows == [[wanted]], within=GENEROUS, what=f"schedule that is {wanted}")

    # -- the database ----------------------------------------------------------------------------------------------

    def restart_database(self) -> None:
        """Run the command that restarts PostgreSQL, and wait until a server that was started since answers."""
        before = self.database_started_at()
        command = ["sh", "-c", self.settings.database_restart]
        done = subprocess.run(command, capture_output=True, text=True, timeout=GENEROUS, check=False)
        assert done.returncode == 0, f"E2E_DATABASE_RESTART ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        eventually(
            self.database_started_at,
            lambda started: started != before,
            within=GENEROUS,
            what="restart of PostgreSQL by E2E_DATABASE_RESTART",
        )

    def database_started_at(self) -> str:
        """When the server was started."""
        return str(self.client.rows("SELECT pg_postmaster_start_time()::text")[0][0])

    # -- workers ---------------------------------------------------------------------------------------------------

    def workers(self) -> dict[str, Object]:
        """The worker pods that are ready and not being deleted."""
        return workers_of(self.pods.objects)

    def until_no_workers(self) -> None:
        """Wait until nobody works any more."""
        self.pods.until(lambda pods: not pods_of_workers(pods), within=GENEROUS, what="end of the workers")

    def exit_status(self, pod: str) -> int | None:
        """How the container of a pod ended, as last seen."""
        for change in reversed(self.pods.changes):
            for container in change.object["status"].get("containerStatuses", []) if change.name == pod else []:
                if "terminated" in container["state"]:
                    return int(container["state"]["terminated"]["exitCode"])
        return None

    # -- objects ---------------------------------------------------------------------------------------------------

    def until_condition(self, kind: str, name: str, wanted: dict[str, str], *, within: float = GENEROUS) -> Object:
        """Wait until conditions of an object have these reasons, such as {"Ready": "Connected"}; the object then."""

        def holds(found: Object) -> bool:
            reasons = {each["type"]: each["reason"] for each in conditions_of(found) if each["status"] != "False"}
            return wanted.items() <= reasons.items()

        what = f"{kind} {name} with {wanted}"
        return eventually(lambda: self.kubectl.get(kind, name), holds, within=within, what=what)

    def set_secret(self, url: str) -> None:
        """Have the Secret of the example name this database."""
        self.kubectl.apply(json.dumps(_secret(example.SECRET, {example.SECRET_KEY: url})))

    def set_default_secret(self, url: str) -> None:
        """Have the Secret of the chart's default database name this database."""
        self.operator.apply(json.dumps(_secret(DEFAULT_DATABASE_SECRET, {"url": url})))

    def url_of_service(self, port: str, path: str) -> str:
        """Where the operator's Service serves a path, as pods call it."""
        (service,) = self.operator.get("services", "--selector", OPERATOR_SELECTOR)
        (number,) = (each["port"] for each in service["spec"]["ports"] if each["name"] == port)
        return f"http://{service['metadata']['name']}.{self.operator.namespace}.svc:{number}{path}"


def _secret(name: str, values: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def conditions_of(found: Object) -> list[dict[str, str]]:
    """The conditions of an object, none while it has no status."""
    return list(found.get("status", {}).get("conditions", []))


def pods_of_workers(pods: dict[str, Object]) -> dict[str, Object]:
    """Those of the example's Deployment."""
    key, _, value = example.SELECTOR.partition("=")
    return {name: pod for name, pod in pods.items() if pod["metadata"].get("labels", {}).get(key) == value}


def workers_of(pods: dict[str, Object]) -> dict[str, Object]:
    """Those that are ready and not being deleted."""
    return {
        name: pod
        for name, pod in pods_of_workers(pods).items()
        if "deletionTimestamp" not in pod["metadata"] and is_ready(pod)
    }


def is_ready(pod: Object) -> bool:
    """Whether a pod says so."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions_of(pod))


def restarts_of(pods: Collection[Object]) -> dict[str, int]:
    """How often the containers of each pod were restarted."""
    return {
        pod["metadata"]["name"]: sum(each["restartCount"] for each in pod["status"].get("containerStatuses", []))
        for pod in pods
    }


Act = Callable[[Stage], None]
Acts = Sequence[tuple[str, Act]]
