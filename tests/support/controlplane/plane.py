"""A real Kubernetes API server with its store and its controllers, on free ports of this machine."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from support.controlplane import credentials
from support.controlplane.audit import AuditLog, Request
from support.controlplane.binaries import Binaries
from support.controlplane.child import Child
from support.kubectl import Kubectl, KubectlError
from support.ports import free_port

_START_DEADLINE = 60.0
_CONTROLLERS = (
    # What makes Pods, and what removes things. Nothing here judges nodes: there is no kubelet.
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "job-controller",
    "disruption-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
)


class ControlPlaneError(Exception):
    """A program of the control plane did not become ready; the text holds the end of its log."""


class ControlPlane:
    """etcd, kube-apiserver and kube-controller-manager, with RBAC and users of the tests' own.

    Ready after about three seconds. Its processes end with `stop`, and also
    when the interpreter is killed.
    """

    def __init__(self, binaries: Binaries, folder: Path, *, users: Sequence[str] = (), audited: bool = False) -> None:
        self.folder = folder
        self._audit = AuditLog(folder) if audited else None
        self.binaries = binaries
        self.users = credentials.make_users(users)
        self.url = ""
        self._children: dict[str, Child] = {}
        self._apiserver_arguments: list[str | Path] = []

    @property
    def admin_kubeconfig(self) -> Path:
        """The kubeconfig of a user who may do everything."""
        return self.folder / "kubeconfig-admin"

    def kubeconfig_for(self, user: str) -> Path:
        """The kubeconfig of one of the users named at the start. RoleBindings give it rights."""
        path = self.folder / f"kubeconfig-{user}"
        return credentials.write_kubeconfig(
            path, server=self.url, certificate=self._certificate, token=self.users[user].token
        )

    def kubeconfig_for_service_account(self, namespace: str, name: str) -> Path:
        """The kubeconfig of a ServiceAccount, with a token that the API server signed."""
        token = self.kubectl("create", "token", name, "--namespace", namespace).strip()
        path = self.folder / f"kubeconfig-{namespace}-{name}"
        return credentials.write_kubeconfig(path, server=self.url, certificate=self._certificate, token=token)

    @property
    def kubectl(self) -> Kubectl:
        """kubectl as the administrator."""
        return Kubectl(self.binaries.kubectl, self.admin_kubeconfig)

    def start(self) -> None:
        """Start everything and return when the API server and the controllers are at work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "service-accounts.key").write_text(credentials.new_signing_key())
        (self.folder / "tokens.csv").write_text(credentials.token_file(self.users))
        etcd_port = free_port(3)
        peer_port, api_port = etcd_port + 1, etcd_port + 2
        self.url = f"https://127.0.0.1:{api_port}"
        self._apiserver_arguments = self._apiserver(etcd_port, api_port)
        try:
            self._spawn(self._etcd(etcd_port, peer_port))
            self._spawn(self._apiserver_arguments)
            self._wait(self._answers_ready, "kube-apiserver")
            self.kubeconfig_for(credentials.ADMIN)
            self._spawn(self._controller_manager())
            self._wait(self._controllers_work, "kube-controller-manager")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the processes that `start` began, and remove their data. The logs stay."""
        for child in reversed(self._children.values()):
            child.kill()
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)

    def restart_apiserver(self) -> None:
        """Kill the API server and start it again on the same port and data: every watch breaks."""
        with self.without_apiserver():
            pass

    @contextlib.contextmanager
    def without_apiserver(self) -> Iterator[None]:
        """No API server while the block runs: connections are refused. Ready again afterwards."""
        self._children["kube-apiserver"].kill()
        try:
            yield
        finally:
            self._spawn(self._apiserver_arguments)
            self._wait(self._answers_ready, "kube-apiserver")
            self._restart_controllers()

    @contextlib.contextmanager
    def paused(self, program: str) -> Iterator[None]:
        """Freeze `etcd`, `kube-apiserver` or `kube-controller-manager` while the block runs."""
        child = self._children[program]
        child.pause()
        try:
            yield
        finally:
            child.resume()

    def log_tail(self, program: str, lines: int = 40) -> str:
        """The end of a program's log."""
        return self._children[program].tail(lines)

    def requests_of(self, user: str) -> list[Request]:
        """Every request of a user that the server has answered. For a control plane that was started `audited`."""
        assert self._audit is not None, "this control plane keeps no audit log"
        return self._audit.requests_of(user)

    @property
    def pids(self) -> dict[str, int]:
        """The process ID of each program that runs."""
        return {name: child.pid for name, child in self._children.items() if child.running}

    @property
    def _certificate(self) -> Path:
        return self.folder / "certificates" / "apiserver.crt"

    def _spawn(self, arguments: Sequence[str | Path]) -> None:
        name = Path(arguments[0]).name
        self._children[name] = Child(arguments, self.folder / f"{name}.log")

    def _restart_controllers(self) -> None:
        # Each watch that broke doubles the time until the controllers look again, up to half a
        # minute and more after a few restarts in a row. New ones have nothing to wait for.
        self._children["kube-controller-manager"].kill()
        self._spawn(self._controller_manager())

    def _wait(self, ready: Callable[[], bool], program: str) -> None:
        deadline = time.monotonic() + _START_DEADLINE
        while not ready():
            for child in self._children.values():
                if not child.running:
                    raise ControlPlaneError(f"{child.name} ended while {program} started:\n{child.tail()}")
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"{program} is not ready:\n{self.log_tail(program)}")
            time.sleep(0.05)

    def _answers_ready(self) -> bool:
        if not self._certificate.exists():
            return False
        token = self.users[credentials.ADMIN].token
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {token}"})
        try:
            context = ssl.create_default_context(cafile=str(self._certificate))
            with urllib.request.urlopen(request, timeout=2, context=context) as response:
                return bool(response.status == 200)
        except OSError:  # refused, not ready (an HTTPError), or a certificate that is half written
            return False

    def _controllers_work(self) -> bool:
        try:
            self.kubectl("get", "serviceaccount", "default", "--namespace", "default")
        except KubectlError:
            return False
        return True

    def _etcd(self, port: int, peer_port: int) -> list[str | Path]:
        url, peer_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
        return [
            *(self.binaries.etcd, f"--data-dir={self.folder / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn"),
            *(f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
            *(f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}"),
            f"--initial-cluster=default={peer_url}",
        ]

    def _apiserver(self, etcd_port: int, port: int) -> list[str | Path]:
        key = self.folder / "service-accounts.key"
        return [
            *(self.binaries.apiserver, f"--etcd-servers=http://127.0.0.1:{etcd_port}"),
            *("--bind-address=127.0.0.1", f"--secure-port={port}", f"--cert-dir={self._certificate.parent}"),
            "--service-account-issuer=https://kubernetes.default.svc",
            *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
            *("--service-cluster-ip-range=10.96.0.0/24", "--authorization-mode=RBAC"),
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            *(() if self._audit is None else self._audit.arguments()),
        ]

    def _controller_manager(self) -> list[str | Path]:
        return [
            *(self.binaries.controller_manager, f"--kubeconfig={self.admin_kubeconfig}"),
            f"--service-account-private-key-file={self.folder / 'service-accounts.key'}",
            f"--root-ca-file={self._certificate}",
            *("--leader-elect=false", "--secure-port=0", f"--controllers={','.join(_CONTROLLERS)}"),
        ]
