"""A gateway whose database goes away when a test wants it to; else the real one."""

from __future__ import annotations

from collections.abc import Sequence

from dbos_operator.decide.changes import Applied, Change
from dbos_operator.errors import DatabaseUnavailableError
from dbos_operator.gateway.postgres import open_gateway
from dbos_operator.gateway.protocol import Gateway, GatewayRequest, Observation, ObserveRequest, Prepared, Sample


class Outage:
    """A gateway that can be cut off."""

    def __init__(self) -> None:
        self.down = False

    def open(self, request: GatewayRequest) -> Gateway:
        return CutOff(open_gateway(request), self)


class CutOff:
    def __init__(self, gateway: Gateway, outage: Outage) -> None:
        self._gateway = gateway
        self._outage = outage

    def _check(self) -> Gateway:
        if self._outage.down:
            raise DatabaseUnavailableError("the server is away")
        return self._gateway

    def prepare(self) -> Prepared:
        return self._check().prepare()

    def observe(self, request: ObserveRequest) -> Observation:
        return self._check().observe(request)

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        return self._check().apply(changes)

    def sample(self, since_ms: int | None) -> Sample:
        return self._check().sample(since_ms)

    def abandon(self) -> None:
        self._gateway.abandon()

    def close(self) -> None:
        self._gateway.close()
