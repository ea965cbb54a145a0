"""A real Prometheus on a free port of this machine."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from support.controlplane.child import Child
from support.ports import free_port
from support.prometheus.fetch import PrometheusPrograms

_START_DEADLINE = 30.0


class PrometheusError(Exception):
    """Prometheus did not start, or refused what it was asked."""


class Prometheus:
    """A server that scrapes what its configuration says. It ends with `stop`, and also when the tests are killed."""

    def __init__(self, programs: PrometheusPrograms, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self._programs = programs
        self._child: Child | None = None

    def start(self, configuration: Mapping[str, Any]) -> None:
        """Start with a configuration (the content of prometheus.yml) and return when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(dict(configuration)), encoding="utf-8")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._child = Child(
            [
                *(self._programs.prometheus, f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}"),
                f"--storage.tsdb.path={self.folder / 'data'}",
            ],
            self.folder / "prometheus.log",
        )
        deadline = time.monotonic() + _START_DEADLINE
        while not self._is_ready():
            if not self._child.running or time.monotonic() > deadline:
                raise PrometheusError(f"Prometheus is not ready:\n{self._child.tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and remove its data. The log stays."""
        if self._child is not None:
            self._child.kill()
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def query_range(self, expression: str, start: float, end: float, step: float = 1.0) -> list[dict[str, Any]]:
        """The series of a range query, each with `metric` and `values`; PrometheusError for a bad expression."""
        parameters = {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        found: list[dict[str, Any]] = self._ask("query_range", parameters)["result"]
        return found

    def _ask(self, path: str, parameters: Mapping[str, str]) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise PrometheusError(f"{parameters}: {json.load(error)['error']}") from error

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2):
                return True
        except OSError:  # refused, or an HTTPError while it starts
            return False


@contextmanager
def running_prometheus(
    programs: PrometheusPrograms, folder: Path, configuration: Mapping[str, Any]
) -> Iterator[Prometheus]:
    """A server that answers, for the length of the block."""
    server = Prometheus(programs, folder)
    try:
        server.start(configuration)
        yield server
    finally:
        server.stop()
