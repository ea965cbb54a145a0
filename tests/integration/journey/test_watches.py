"""A watch of the journey, over a kubectl that plays a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from journey.watches import Watch
from support.kubectl import Kubectl

PROGRAM = """#!/bin/sh
case "$*" in
  *--watch*) cat {folder}/events; test -e {folder}/broken && exec rm {folder}/broken; exec sleep 60 ;;
  *) cat {folder}/list ;;
esac
"""


def a_pod(name: str, **status: object) -> dict[str, object]:
    return {"kind": "Pod", "metadata": {"name": name}, "status": status}


def an_event(kind: str, name: str, *, indent: int | None = None, **status: object) -> str:
    return json.dumps({"type": kind, "object": a_pod(name, **status)}, indent=indent) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the kubectl of the test finds what it says."""
    program = tmp_path / "kubectl"
    program.write_text(PROGRAM.format(folder=tmp_path))
    program.chmod(0o755)
    (tmp_path / "list").write_text(json.dumps({"kind": "List", "items": [a_pod("old")]}))
    return tmp_path


@pytest.fixture
def watch(folder: Path, request: pytest.FixtureRequest) -> Iterator[Watch]:
    (folder / "events").write_text(request.param)
    watch = Watch(Kubectl(folder / "kubectl", folder / "kubeconfig"), "pods")
    yield watch
    watch.close()


STORY = (
    an_event("ADDED", "new")
    + an_event("BOOKMARK", "nobody")
    + an_event("MODIFIED", "new", indent=2, ready=True)
    + an_event("DELETED", "old")
)


@pytest.mark.parametrize("watch", [STORY], indirect=True)
def test_objects_follow_the_events_whatever_lines_they_are_written_on(watch: Watch) -> None:
    watch.until(lambda pods: "old" not in pods, within=20, what="end of the old pod")
    assert watch.objects == {"new": a_pod("new", ready=True)}
    assert [(change.type, change.name) for change in watch.changes_since(0)] == [
        ("ADDED", "new"),
        ("MODIFIED", "new"),
        ("DELETED", "old"),
    ]


@pytest.mark.parametrize("watch", [""], indirect=True)
def test_what_is_there_at_the_start_is_known_at_once(watch: Watch) -> None:
    assert set(watch.objects) == {"old"}
    with pytest.raises(AssertionError, match=r"no new pod within 0\.01 s"):
        watch.until(lambda pods: "new" in pods, within=0.01, what="new pod")


def test_a_watch_that_breaks_lists_again_and_goes_on(folder: Path) -> None:
    (folder / "events").write_text(an_event("ADDED", "missed"))
    (folder / "broken").touch()
    watch = Watch(Kubectl(folder / "kubectl", folder / "kubeconfig"), "pods")
    try:
        watch.until(lambda _pods: len(watch.changes) == 2, within=20, what="second watch")
        assert set(watch.objects) == {"old", "missed"}
    finally:
        watch.close()
