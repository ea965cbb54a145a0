"""What a control plane is compiled from."""

from __future__ import annotations

from pathlib import Path

from support.controlplane.gobuild import Recipe

VERSION = "1.35.4"
_VERSION_PACKAGE = "k8s.io/component-base/version"
# Without a version the server calls itself v0.0.0, and charts with a kubeVersion refuse to install.
_MAJOR, _MINOR, _ = VERSION.split(".")

RECIPE = Recipe(
    what=f"the control plane of Kubernetes {VERSION}",
    version=VERSION,
    sources=Path(__file__).parent,
    packages={
        "go.etcd.io/etcd/server/v3": "etcd",
        "k8s.io/kubernetes/cmd/kube-apiserver": "kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager": "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kubectl": "kubectl",
    },
    linker_flags=" ".join(
        ["-s -w"]
        + [
            f"-X {_VERSION_PACKAGE}.{name}"
            for name in (f"gitVersion=v{VERSION}", f"gitMajor={_MAJOR}", f"gitMinor={_MINOR}")
        ]
    ),
    usually="5 to 7 minutes on 2 cores",
)
