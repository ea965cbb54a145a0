"""The chart as tests look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts" / "dbos-operator"
Manifest = dict[str, Any]


def chart_file(name: str) -> Any:
    """A YAML file of the chart, read."""
    return yaml.safe_load((CHART / name).read_text(encoding="utf-8"))


def of_kind(manifests: Sequence[Manifest], kind: str) -> list[Manifest]:
    """The manifests of a kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def the(manifests: Sequence[Manifest], kind: str) -> Manifest:
    """The only manifest of a kind."""
    (found,) = of_kind(manifests, kind)
    return found


def value_paths(values: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value as its path and default. What the schema leaves to Kubernetes counts as one value."""
    for key, value in values.items():
        below = schema["properties"].get(key, {})
        if value and isinstance(value, dict) and below.get("properties"):
            yield from value_paths(value, below, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def a_chart(folder: Path, *manifests: str) -> Path:
    """A chart of a user with these manifests, in a folder of its own below the given one."""
    chart = folder / "app"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "app", "version": "1.0.0"}))
    for number, manifest in enumerate(manifests):
        (chart / "templates" / f"{number}.yaml").write_text(manifest)
    return chart


def a_newer_chart(folder: Path) -> Path:
    """Our chart with another short name of DBOSQueue: `newer`."""
    chart = shutil.copytree(CHART, folder / "newer")
    file = chart / "files" / "crds" / "dbosqueues.yaml"
    kind = yaml.safe_load(file.read_text(encoding="utf-8"))
    kind["spec"]["names"]["shortNames"] = ["newer"]
    file.write_text(yaml.safe_dump(kind), encoding="utf-8")
    return chart
