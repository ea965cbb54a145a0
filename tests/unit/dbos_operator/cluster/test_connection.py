"""The cluster that is meant is found in the order that operators know."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dbos_operator.cluster.connection import (
    ConnectionSource,
    credentials_of,
    environment_proxy,
    load_configuration,
    locate_kubeconfig,
)
from dbos_operator.errors import ClusterConfigurationError

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def a_home(tmp_path: Path) -> Path:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("{}")
    return tmp_path


def a_kubeconfig(folder: Path, user: dict[str, object]) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [
                    {"name": "c", "cluster": {"server": "https://api:6443/", "insecure-skip-tls-verify": True}}
                ],
                "users": [{"name": "u", "user": user}],
                "contexts": [
                    {"name": "one", "context": {"cluster": "c", "user": "u"}},
                    {"name": "nobody", "context": {"cluster": "c", "user": ""}},
                ],
                "current-context": "one",
            }
        )
    )
    return path


def test_an_explicit_path_wins(tmp_path: Path) -> None:
    source = ConnectionSource(kubeconfig="/mine")
    assert locate_kubeconfig(source, {"KUBECONFIG": "/other", **IN_A_POD}, a_home(tmp_path)) == "/mine"


def test_the_variable_comes_before_the_service_account(tmp_path: Path) -> None:
    assert locate_kubeconfig(ConnectionSource(), {"KUBECONFIG": "/other", **IN_A_POD}, tmp_path) == "/other"


def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    assert locate_kubeconfig(ConnectionSource(), IN_A_POD, a_home(tmp_path)) is None


def test_a_context_means_a_kubeconfig_even_in_a_pod(tmp_path: Path) -> None:
    found = locate_kubeconfig(ConnectionSource(context="dev"), IN_A_POD, a_home(tmp_path))
    assert found == str(tmp_path / ".kube" / "config")


def test_outside_a_pod_the_file_in_the_home_folder_is_used(tmp_path: Path) -> None:
    assert locate_kubeconfig(ConnectionSource(), {}, a_home(tmp_path)) == str(tmp_path / ".kube" / "config")


def test_no_cluster_at_all_is_an_error_that_lists_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(ClusterConfigurationError, match=r"--kubeconfig, KUBECONFIG, .*\.kube/config"):
        locate_kubeconfig(ConnectionSource(), {}, tmp_path)


@pytest.mark.parametrize(
    ("server", "proxy"),
    [
        ("https://api.example.org:6443", "http://proxy:3128"),
        ("https://api.inside.test:6443", None),
        ("http://127.0.0.1:8001", None),
    ],
)
def test_the_proxy_of_the_environment_is_used_where_it_applies(
    monkeypatch: pytest.MonkeyPatch, server: str, proxy: str | None
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "inside.test,localhost")

    assert environment_proxy(server) == proxy


async def test_a_token_file_may_end_with_a_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    path = a_kubeconfig(tmp_path, {"tokenFile": "token"})

    found = credentials_of(await load_configuration(ConnectionSource(kubeconfig=str(path))))

    assert found.authorization == "Bearer abc"
    assert found.server == "https://api:6443"
    assert not found.verify_tls


async def test_a_rotated_token_is_read_by_the_next_load(tmp_path: Path) -> None:
    path = a_kubeconfig(tmp_path, {"tokenFile": "token"})
    (tmp_path / "token").write_text("first")
    first = credentials_of(await load_configuration(ConnectionSource(kubeconfig=str(path))))
    (tmp_path / "token").write_text("second")
    second = credentials_of(await load_configuration(ConnectionSource(kubeconfig=str(path))))

    assert (first.authorization, second.authorization) == ("Bearer first", "Bearer second")


async def test_the_service_account_of_a_pod_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "ca.crt").write_text("certificate")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    for name, value in IN_A_POD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("kubernetes.aio.config.incluster_config.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr("kubernetes.aio.config.incluster_config.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))

    found = credentials_of(await load_configuration(ConnectionSource()))

    assert (found.server, found.authorization) == ("https://10.96.0.1:443", "bearer abc")
    assert found.ca_file == str(tmp_path / "ca.crt")


async def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterConfigurationError, match=r"kubeconfig .*/nowhere cannot be used: expected a file"):
        await load_configuration(ConnectionSource(kubeconfig=str(tmp_path / "nowhere")))


async def test_an_unknown_context_is_named(tmp_path: Path) -> None:
    path = a_kubeconfig(tmp_path, {"token": "abc"})
    with pytest.raises(ClusterConfigurationError, match="mars"):
        await load_configuration(ConnectionSource(kubeconfig=str(path), context="mars"))


async def test_a_file_that_is_no_kubeconfig_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("a: [1, 2\nb")
    with pytest.raises(ClusterConfigurationError) as raised:
        await load_configuration(ConnectionSource(kubeconfig=str(path)))
    assert "\n" not in str(raised.value)
