"""The calls of the loop, on a real API server."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from dbos_operator.cluster.client import ApiSession, Request
from dbos_operator.cluster.connection import ConnectionSource
from dbos_operator.cluster.kubernetes_cluster import KubernetesCluster
from dbos_operator.cluster.protocol import EventType, Pod
from dbos_operator.errors import ClusterError, ClusterForbiddenError, ConflictError, NotFoundError
from dbos_operator.resources.identity import FINALIZER, Identity, Kind, ObjectKey, TargetRef
from dbos_operator.resources.queue import parse_queue
from dbos_operator.resources.resource import Workload
from dbos_operator.resources.selector import Selector, UnknownSelectorError
from dbos_operator.resources.workload import parse_workload
from support.controlplane.fixtures import RESTRICTED_USER
from support.controlplane.plane import ControlPlane
from support.kubectl import Kubectl

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 2
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec: {containers: [{name: worker, image: "worker:1"}]}
"""
QUEUE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSQueue
metadata: {name: emails}
spec: {concurrency: 3}
"""

Connect = Callable[[Path], Awaitable[KubernetesCluster]]


@pytest.fixture
async def connect(namespace: str) -> AsyncIterator[Connect]:
    opened: list[KubernetesCluster] = []

    async def open_cluster(kubeconfig: Path) -> KubernetesCluster:
        api = await ApiSession.open(ConnectionSource(kubeconfig=str(kubeconfig)))
        opened.append(KubernetesCluster(api, namespaces=[namespace]))
        return opened[-1]

    yield open_cluster
    for each in opened:
        await each.close()


@pytest.fixture
async def cluster(control_plane: ControlPlane, connect: Connect) -> KubernetesCluster:
    return await connect(control_plane.admin_kubeconfig)


@pytest.fixture
def target(namespace: str, kubectl: Kubectl) -> TargetRef:
    kubectl.apply(DEPLOYMENT)
    return TargetRef(namespace, "Deployment", "worker")


@pytest.fixture
def queue(crds: Path, kubectl: Kubectl) -> Identity:
    kubectl.apply(QUEUE)
    return read_queue(kubectl)


def read_queue(kubectl: Kubectl) -> Identity:
    return parse_queue(kubectl.get("dbosqueue", "emails")).identity


async def the_pods(cluster: KubernetesCluster, kubectl: Kubectl, *, count: int) -> list[Pod]:
    kubectl("wait", f"--for=jsonpath={{.status.replicas}}={count}", "deployment/worker", "--timeout=30s")
    return list(await cluster.list_pods(parse_workload(kubectl.get("deployment", "worker"))))


async def test_the_cluster_id_is_the_uid_of_kube_system(
    cluster: KubernetesCluster, control_plane: ControlPlane
) -> None:
    uid = control_plane.kubectl.get("namespace", "kube-system")["metadata"]["uid"]
    assert await cluster.cluster_id() == uid


async def test_a_secret_is_read_decoded(cluster: KubernetesCluster, namespace: str, kubectl: Kubectl) -> None:
    kubectl("create", "secret", "generic", "db", "--from-literal=url=postgresql://ü")

    assert await cluster.read_secret(ObjectKey(namespace, "db")) == {"url": "postgresql://ü".encode()}
    assert await cluster.read_secret(ObjectKey(namespace, "none")) is None


async def scale_to(cluster: KubernetesCluster, target: TargetRef, replicas: int) -> None:
    """Scale, again when the Deployment's controller wrote in between."""
    while True:
        scale = await cluster.read_scale(target)
        assert scale is not None
        try:
            return await cluster.patch_scale(scale, replicas)
        except ConflictError:
            continue


async def release(cluster: KubernetesCluster, kubectl: Kubectl) -> None:
    """Let the queue go, again when the namespace's controller marked it for deletion in between."""
    while True:
        try:
            return await cluster.set_finalizers(read_queue(kubectl), [])
        except ConflictError:
            continue


async def test_replicas_go_up_and_down_to_zero(cluster: KubernetesCluster, target: TargetRef, kubectl: Kubectl) -> None:
    for replicas in (3, 0, 1):
        await scale_to(cluster, target, replicas)
        assert kubectl.get("deployment", "worker")["spec"]["replicas"] == replicas

    scale = await cluster.read_scale(target)
    assert scale is not None
    assert scale.replicas == 1


async def test_a_target_that_somebody_else_scaled_is_left_alone(
    cluster: KubernetesCluster, target: TargetRef, kubectl: Kubectl
) -> None:
    scale = await cluster.read_scale(target)
    assert scale is not None
    kubectl("scale", "deployment/worker", "--replicas=5")

    with pytest.raises(ConflictError):
        await cluster.patch_scale(scale, 1)
    assert kubectl.get("deployment", "worker")["spec"]["replicas"] == 5


async def test_a_target_that_is_gone_has_no_scale(
    cluster: KubernetesCluster, target: TargetRef, kubectl: Kubectl
) -> None:
    scale = await cluster.read_scale(target)
    assert scale is not None
    kubectl("delete", "deployment", "worker")

    assert await cluster.read_scale(target) is None
    with pytest.raises(NotFoundError):
        await cluster.patch_scale(scale, 1)


async def test_pods_are_those_that_the_selector_matches(
    cluster: KubernetesCluster, target: TargetRef, kubectl: Kubectl
) -> None:
    kubectl("run", "bystander", "--image=other:1")

    pods = await the_pods(cluster, kubectl, count=2)

    assert all(pod.name.startswith("worker-") and pod.phase == "Pending" and not pod.terminating for pod in pods)


@pytest.mark.parametrize(
    "expression",
    [
        "{key: app, operator: In, values: [worker, other]}",
        "{key: app, operator: In, values: [worker]}",
        "{key: app, operator: NotIn, values: [other, stranger]}",
        "{key: app, operator: NotIn, values: [other]}",
        "{key: tier, operator: In, values: ['', fast]}",
        "{key: tier, operator: NotIn, values: [slow, '']}",
        "{key: app, operator: Exists}",
        "{key: absent, operator: DoesNotExist}",
    ],
)
async def test_pods_are_found_by_expressions_too(cluster: KubernetesCluster, kubectl: Kubectl, expression: str) -> None:
    kubectl("run", "foreign", "--image=other:1", "--labels=app=other,foreign=true,tier=slow")
    kubectl("run", "bystander", "--image=other:1", "--labels=foreign=true")
    both = f"matchExpressions: [{{key: foreign, operator: DoesNotExist}}, {expression}]"
    manifest = DEPLOYMENT.replace("matchLabels: {app: worker}", both)
    kubectl.apply(manifest.replace("{app: worker}", "{app: worker, tier: fast}"))

    pods = await the_pods(cluster, kubectl, count=2)

    assert len(pods) == 2
    assert all(pod.name.startswith("worker-") for pod in pods)


async def test_pods_are_not_known_where_the_selector_says_nothing(
    cluster: KubernetesCluster, target: TargetRef, kubectl: Kubectl
) -> None:
    await the_pods(cluster, kubectl, count=2)

    with pytest.raises(UnknownSelectorError):
        await cluster.list_pods(Workload(target=target, uid="u", replicas=2, ready_replicas=0, selector=Selector()))


async def test_a_deletion_cost_is_written_on_the_very_pod(
    cluster: KubernetesCluster, target: TargetRef, kubectl: Kubectl
) -> None:
    first, second = await the_pods(cluster, kubectl, count=2)
    await cluster.set_deletion_cost(first, 7)

    costs = {pod.name: pod.deletion_cost for pod in await the_pods(cluster, kubectl, count=2)}
    assert costs == {first.name: 7, second.name: None}
    successor = dataclasses.replace(first, uid="11111111-2222-3333-4444-555555555555")
    with pytest.raises(ConflictError):
        await cluster.set_deletion_cost(successor, 8)
    with pytest.raises(NotFoundError):
        await cluster.set_deletion_cost(dataclasses.replace(first, name="gone"), 8)


async def test_a_status_is_merged_and_leaves_the_generation_alone(
    cluster: KubernetesCluster, queue: Identity, kubectl: Kubectl
) -> None:
    await cluster.patch_status(queue, {"observedGeneration": 1, "enqueued": 5})
    await cluster.patch_status(queue, {"enqueued": 6})

    status = kubectl.get("dbosqueue", "emails")["status"]
    assert (status["observedGeneration"], status["enqueued"]) == (1, 6)
    assert read_queue(kubectl).generation == queue.generation


async def test_the_status_of_an_object_that_is_gone_is_not_found(
    cluster: KubernetesCluster, queue: Identity, kubectl: Kubectl
) -> None:
    kubectl("delete", "dbosqueue", "emails")

    with pytest.raises(NotFoundError):
        await cluster.patch_status(queue, {"observedGeneration": 1})


async def test_finalizers_are_replaced_only_on_what_was_read(
    cluster: KubernetesCluster, queue: Identity, kubectl: Kubectl
) -> None:
    await cluster.set_finalizers(queue, [FINALIZER])
    with pytest.raises(ConflictError):
        await cluster.set_finalizers(queue, [])
    held = read_queue(kubectl)
    assert held.finalizers == (FINALIZER,)

    await cluster.set_finalizers(held, [])
    assert read_queue(kubectl).finalizers == ()


async def test_a_repeated_event_is_counted(cluster: KubernetesCluster, queue: Identity, kubectl: Kubectl) -> None:
    for _ in range(3):
        await cluster.post_event(queue, EventType.WARNING, "NameTaken", "the row belongs to somebody else")
    await cluster.post_event(queue, EventType.NORMAL, "Created", "created the row")
    await cluster.drain_events()

    events = {event["reason"]: event for event in kubectl.get("events")}
    assert events["NameTaken"]["count"] == 3
    assert events["NameTaken"]["source"] == {"component": "dbos-operator"}
    assert events["Created"]["involvedObject"]["uid"] == queue.uid


async def test_an_event_that_the_server_has_forgotten_is_posted_anew(
    cluster: KubernetesCluster, queue: Identity, kubectl: Kubectl
) -> None:
    await cluster.post_event(queue, EventType.NORMAL, "Created", "created the row")
    await cluster.drain_events()
    kubectl("delete", "events", "--all")
    await cluster.post_event(queue, EventType.NORMAL, "Created", "created the row")
    await cluster.drain_events()

    assert [event["count"] for event in kubectl.get("events")] == [1]


async def test_an_event_that_is_refused_is_not_an_error(
    connect: Connect, control_plane: ControlPlane, queue: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = await connect(control_plane.kubeconfig_for(RESTRICTED_USER))

    await nobody.post_event(queue, EventType.NORMAL, "Created", "created the row")
    await nobody.drain_events()

    assert "event could not be posted" in caplog.text


async def test_a_namespace_on_its_way_out_is_known(
    cluster: KubernetesCluster, namespace: str, kubectl: Kubectl, queue: Identity
) -> None:
    assert not await cluster.namespace_terminating(namespace)
    await cluster.set_finalizers(queue, [FINALIZER])
    kubectl("delete", "namespace", namespace, "--wait=false")

    assert await cluster.namespace_terminating(namespace)
    assert await cluster.namespace_terminating("there-is-none")
    await release(cluster, kubectl)


async def test_everything_is_listed_over_many_pages(
    cluster: KubernetesCluster, crds: Path, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbos_operator.cluster.listing.PAGE", "2")
    names = [f"q{number}" for number in range(5)]
    kubectl.apply("---\n".join(QUEUE.replace("emails", name) for name in names))

    listed = await cluster.list_resources(Kind.QUEUE)

    assert sorted(manifest["metadata"]["name"] for manifest in listed) == names


async def test_a_user_without_rights_learns_which_one_is_missing(
    connect: Connect, control_plane: ControlPlane, crds: Path
) -> None:
    nobody = await connect(control_plane.kubeconfig_for(RESTRICTED_USER))

    with pytest.raises(ClusterForbiddenError, match="cannot list resource"):
        await nobody.list_resources(Kind.QUEUE)
    with pytest.raises(ClusterForbiddenError, match=r"UID of namespace kube-system .* allow the operator to `get` it"):
        await nobody.cluster_id()


async def test_a_token_that_was_rotated_is_read_again(
    connect: Connect, control_plane: ControlPlane, tmp_path: Path
) -> None:
    good = control_plane.admin_kubeconfig.read_text()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(good)
    token = control_plane.users["admin"].token
    assert token in good
    kubeconfig.write_text(good.replace(token, "expired"))
    cluster = await connect(kubeconfig)
    kubeconfig.write_text(good)

    assert await cluster.cluster_id()


async def test_a_token_that_stays_refused_is_forbidden(
    connect: Connect, control_plane: ControlPlane, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        control_plane.admin_kubeconfig.read_text().replace(control_plane.users["admin"].token, "expired")
    )
    cluster = await connect(kubeconfig)

    with pytest.raises(ClusterForbiddenError, match="Unauthorized"):
        await cluster.cluster_id()


async def test_an_api_server_that_is_away_is_an_error_and_back_is_back(
    control_plane: ControlPlane, connect: Connect
) -> None:
    cluster = await connect(control_plane.admin_kubeconfig)
    with control_plane.without_apiserver(), pytest.raises(ClusterError, match="cannot be reached"):
        await cluster.cluster_id()

    assert await cluster.cluster_id()


async def test_an_api_server_that_does_not_answer_is_an_error_in_time(
    control_plane: ControlPlane, cluster: KubernetesCluster
) -> None:
    impatient = Request(method="GET", path="/api/v1/namespaces", timeout=aiohttp.ClientTimeout(total=0.3))
    with control_plane.paused("kube-apiserver"), pytest.raises(ClusterError, match=r"did not answer in 0\.3 s"):
        await cluster.api.send(impatient)
