"""OpenTelemetry for one application, from its launch to its end. Importing this needs the extra `otel`."""

from __future__ import annotations

from dbos.config.observability import OtlpOptions
from dbos.observability.attributes import AttributeNames
from dbos.observability.logs import gate
from dbos.observability.otlp import Exports
from dbos.observability.otlp_logs import OtlpHandler
from dbos.observability.tracing import OpenTelemetryTracing, get_tracer
from dbos.store.dequeue import Claimant


class OpenTelemetry:
    """Traces and logs of a process. `tracing` is for the engine."""

    def __init__(
        self, options: OtlpOptions, claimant: Claimant, *, application_id: str, log_level: str, package_version: str
    ) -> None:
        """Begin to record and to send."""
        names = AttributeNames(options.format)
        process = {"applicationVersion": claimant.version, "executorID": str(claimant.executor_id)}
        known = {"applicationID": application_id, **process}
        self._exports = Exports(claimant.application, options)
        self.tracing = OpenTelemetryTracing(
            get_tracer(package_version), options, names, known if application_id else process
        )
        gate.sender = OtlpHandler(log_level, options, names, known)

    def close(self) -> None:
        """Send what is left, for a bounded time. Idempotent."""
        gate.sender = None
        self._exports.close()
