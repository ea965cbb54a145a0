"""Where the cluster is and who we are there: a kubeconfig, or the service account of our pod."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from dbos_operator.errors import ClusterConfigurationError

BEARER = "BearerToken"
"""Under this name the Kubernetes client keeps the whole Authorization header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSource:
    """Which cluster is meant. Neither value: the one that kubectl or the pod itself would use."""

    kubeconfig: str | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Everything that another HTTP client needs to speak to the same API server as the same user."""

    server: str
    authorization: str | None
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    verify_tls: bool
    proxy: str | None


def locate_kubeconfig(source: ConnectionSource, environment: Mapping[str, str], home: Path) -> str | None:
    """The kubeconfig to read, or None for the service account of this pod.

    An explicit path wins, then KUBECONFIG, then the service account, then the
    file in the home folder: the order that operators run in clusters expect.
    """
    if source.kubeconfig:
        return source.kubeconfig
    if environment.get("KUBECONFIG"):
        return environment["KUBECONFIG"]
    at_home = home / ".kube" / "config"
    if environment.get("KUBERNETES_SERVICE_HOST") and source.context is None:
        return None
    if at_home.is_file():
        return str(at_home)
    raise ClusterConfigurationError(
        f"no cluster to work on: expected --kubeconfig, KUBECONFIG, {at_home} or the service account of a pod"
    )


async def load_configuration(source: ConnectionSource) -> Configuration:
    """Read address and credentials afresh, so that rotated tokens and certificates are picked up."""
    path = locate_kubeconfig(source, os.environ, Path.home())
    configuration = Configuration()
    try:
        if path is None:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            _require_readable(path)
            await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=path, context=source.context, client_configuration=configuration, persist_config=False
            )
    except (ConfigException, OSError, ValueError, TypeError, yaml.YAMLError) as error:
        where = "service account" if path is None else f"kubeconfig {path}"
        detail = " ".join(str(error).split())
        raise ClusterConfigurationError(f"{where} cannot be used: {detail}") from error
    configuration.proxy = configuration.proxy or environment_proxy(configuration.host)
    # Otherwise every request would look for proxies and for ~/.netrc, in a thread of its own.
    configuration.client_session_kwargs = {"trust_env": False}
    if BEARER in configuration.api_key:
        # A token file usually ends with a line break, which no header may contain.
        configuration.api_key[BEARER] = configuration.api_key[BEARER].strip()
    return configuration


def environment_proxy(server: str) -> str | None:
    """The proxy that HTTPS_PROXY and NO_PROXY ask for on the way to this server."""
    address = urlsplit(server)
    if not address.hostname or proxy_bypass(address.hostname):
        return None
    return getproxies().get(address.scheme)


def credentials_of(configuration: Configuration) -> Credentials:
    """The same connection as plain values."""
    return Credentials(
        server=configuration.host,
        authorization=configuration.api_key.get(BEARER),
        ca_file=configuration.ssl_ca_cert,
        certificate_file=configuration.cert_file,
        key_file=configuration.key_file,
        verify_tls=configuration.verify_ssl,
        proxy=configuration.proxy,
    )


def _require_readable(path: str) -> None:
    """The client ignores files that are missing; a user who named one must hear of it."""
    files = [part for part in path.split(os.pathsep) if part]
    if not any(Path(part).expanduser().is_file() for part in files):
        raise FileNotFoundError("expected a file that exists and can be read")
