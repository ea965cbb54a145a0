"""kopf's handlers and settings: it watches, and writes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import kopf

from dbos_operator.cluster.connection import Credentials
from dbos_operator.resources.identity import GROUP
from dbos_operator.watch.forgetful import NoDiffBase, NoProgress
from dbos_operator.watch.intake import Intake
from dbos_operator.watch.kinds import WATCHED, WatchedKind

Login = Callable[[], Awaitable[Credentials]]


class EndlessBackoffs:
    """Pauses between attempts of a request: a watch is never given up, and never far behind a returning server."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.5, 1, 2)
        while True:
            yield 5


def build_registry(intake: Intake, login: Login) -> kopf.OperatorRegistry:
    """Handlers that hand every event of the watched kinds to the intake."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return connection_info(await login())

    for kind in WATCHED:
        _follow(kind, intake, registry)
    return registry


def _follow(kind: WatchedKind, intake: Intake, registry: kopf.OperatorRegistry) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=str(kind))
    async def hand_over(event: kopf.RawEvent, **_: Any) -> None:
        manifest: Any = event["object"]
        if event["type"] == "DELETED":
            intake.forget(kind, manifest)
        else:
            intake.take(kind, manifest)


def build_settings() -> kopf.OperatorSettings:
    """kopf without anything that writes, posts, peers or decides when the process ends."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.execution.max_workers = 1
    settings.queueing.idle_timeout = 1.0
    settings.watching.inactivity_timeout = 70.0
    settings.networking.request_timeout = 60.0
    settings.networking.connect_timeout = 5.0
    settings.networking.error_backoffs = EndlessBackoffs()
    # Never written by handlers of events; on our own domain, so that kopf takes nobody's mark for its own.
    settings.persistence.finalizer = f"{GROUP}/watch"
    settings.persistence.progress_storage = NoProgress()
    settings.persistence.diffbase_storage = NoDiffBase()
    return settings


def connection_info(credentials: Credentials) -> kopf.ConnectionInfo:
    """The same server and the same user for kopf."""
    scheme, _, token = (credentials.authorization or "").partition(" ")
    return kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=credentials.ca_file,
        insecure=not credentials.verify_tls,
        scheme=scheme.capitalize() or None,
        token=token.strip() or None,
        certificate_path=credentials.certificate_file,
        private_key_path=credentials.key_file,
        proxy_url=credentials.proxy,
    )
