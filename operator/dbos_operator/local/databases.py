"""Which database each Secret of a DBOSDatabase leads to: `--database`, the folder, or an embedded PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dbos_operator.errors import OperatorError
from dbos_operator.gateway.postgres import open_gateway
from dbos_operator.gateway.protocol import GatewayRequest
from dbos_operator.local.embedded import EmbeddedPostgres
from dbos_operator.local.manifests import PARSERS, Manifests, complete
from dbos_operator.resources.identity import Kind, ObjectKey
from dbos_operator.resources.specs import DatabaseSpec, Initialize

URL_VARIABLE = "DBOS_SYSTEM_DATABASE_URL"


@dataclass(frozen=True, slots=True, order=True)
class SecretKey:
    """One key of a Secret."""

    secret: ObjectKey
    key: str

    @property
    def database_name(self) -> str:
        """The database inside the embedded server that stands for this Secret."""
        parts = [
            *([] if self.secret.namespace == "default" else [self.secret.namespace]),
            self.secret.name,
            *([] if self.key == "url" else [self.key]),
        ]
        return "-".join(parts)[:63]


class Databases:
    """The URL behind every Secret that a DBOSDatabase names."""

    def __init__(self, folder: Path, url: str | None) -> None:
        """`folder` is where an embedded server keeps its data, `url` what `--database` said."""
        self._url = url
        self._embedded = EmbeddedPostgres(folder)
        self._urls: dict[SecretKey, str] = {}
        self._inside: set[SecretKey] = set()

    async def prepare(self, manifests: Manifests) -> None:
        """Find the URL of every DBOSDatabase, starting the embedded server where nothing else names one."""
        for reference in {secret_key(database, spec) for database, spec in database_specs(manifests)}:
            if self._url is not None:
                self._urls[reference] = self._url
                continue
            given = manifests.data("Secret", reference.secret)
            if given is not None:
                if reference.key not in given:
                    raise OperatorError(f"Secret {reference.secret} has no key {reference.key}")
                self._urls[reference] = given[reference.key].decode()
                self._inside.discard(reference)
            elif reference not in self._inside:
                self._inside.add(reference)
                self._urls[reference] = await asyncio.to_thread(self._embedded.url, reference.database_name)

    async def probe(self, manifests: Manifests) -> None:
        """Raise the operator's own error for the first database that cannot be worked with."""
        for database, spec in database_specs(manifests):
            request = GatewayRequest(
                url=self._urls[secret_key(database, spec)],
                schema=spec.schema,
                application_name=spec.application_name,
                initialize=spec.initialize is Initialize.IF_EMPTY,
                connections=spec.connections,
            )
            try:
                await asyncio.to_thread(_prepare, request)
            except OperatorError as error:
                raise OperatorError(f"DBOSDatabase {database}: {error}") from error

    def secret(self, manifests: Manifests, key: ObjectKey) -> Mapping[str, bytes] | None:
        """The data of a Secret: what the folder says, and the URL in use over it."""
        urls = {found.key: url.encode() for found, url in self._urls.items() if found.secret == key}
        given = manifests.data("Secret", key)
        return None if given is None and not urls else {**(given or {}), **urls}

    def worker_variables(self, manifests: Manifests, namespace: str) -> dict[str, str]:
        """The URL for workers that name none: of the namespace's `default` DBOSDatabase, or of its only one."""
        if self._url is not None:
            return {URL_VARIABLE: self._url}
        near = {key.name: spec for key, spec in database_specs(manifests) if key.namespace == namespace}
        spec = near.get("default") or (next(iter(near.values())) if len(near) == 1 else None)
        if spec is None:
            return {}
        return {URL_VARIABLE: self._urls[secret_key(ObjectKey(namespace, ""), spec)]}

    def forced_variables(self) -> dict[str, str]:
        """What `--database` means for every worker, whatever its manifest says."""
        return {} if self._url is None else {URL_VARIABLE: self._url}

    def embedded_urls(self) -> dict[str, str]:
        """The URLs that only this run knows, by their Secret: of databases in the embedded server."""
        return {str(found.secret): url for found, url in sorted(self._urls.items()) if found in self._inside}

    async def close(self) -> None:
        """Stop the embedded server, if there is one; its data stays."""
        await asyncio.to_thread(self._embedded.stop)


def database_specs(manifests: Manifests) -> Iterator[tuple[ObjectKey, DatabaseSpec]]:
    """Every DBOSDatabase of the folder."""
    for manifest in manifests.of_kinds(Kind.DATABASE):
        spec = PARSERS[Kind.DATABASE](complete(manifest)).spec
        assert isinstance(spec, DatabaseSpec)
        yield manifest.id.key, spec


def secret_key(database: ObjectKey, spec: DatabaseSpec) -> SecretKey:
    """Where a DBOSDatabase has its URL: a Secret of its own namespace."""
    return SecretKey(ObjectKey(database.namespace, spec.secret_name), spec.secret_key)


def _prepare(request: GatewayRequest) -> None:
    gateway = open_gateway(request)
    try:
        gateway.prepare()
    finally:
        gateway.close()
