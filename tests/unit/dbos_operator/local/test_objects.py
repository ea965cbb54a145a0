"""Objects of the folder, kept as an API server keeps them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dbos_operator.errors import NotFoundError
from dbos_operator.local.documents import read_documents
from dbos_operator.local.manifests import Manifests, check_documents
from dbos_operator.local.objects import ObjectStore, merge
from dbos_operator.local.schemas import Schemas
from dbos_operator.loop.desired import AnyResource, DesiredState
from dbos_operator.resources.identity import FINALIZER, ObjectKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMAS = Schemas({"DBOSQueue": {"type": "object"}})
KEY = ObjectKey("default", "files")
NOTHING = Manifests(objects={})


def a_folder(worker_concurrency: int = 4) -> Manifests:
    text = (
        "apiVersion: dbos.dev/v1beta1\nkind: DBOSQueue\nmetadata: {name: files}\n"
        f"spec: {{workerConcurrency: {worker_concurrency}}}\n"
    )
    return check_documents(read_documents(Path("a.yaml"), text), SCHEMAS)


class World:
    def __init__(self) -> None:
        self.desired = DesiredState()
        self.store = ObjectStore(self.desired, now=lambda: NOW)

    @property
    def queue(self) -> AnyResource | None:
        return self.desired.snapshot().queues.get(KEY)

    @property
    def there(self) -> AnyResource:
        assert self.queue is not None
        return self.queue


@pytest.fixture
def world() -> World:
    world = World()
    world.store.apply(a_folder())
    return world


def test_a_new_object_has_a_stable_uid_generation_one_and_the_default_status(world: World) -> None:
    again = World()
    again.store.apply(a_folder())

    assert world.there.identity.uid == again.there.identity.uid
    assert world.there.identity.generation == 1
    assert world.there.status == {"observedGeneration": -1}


def test_only_a_changed_spec_makes_a_new_generation(world: World) -> None:
    assert world.store.apply(a_folder()) == []
    assert world.there.identity.generation == 1

    assert world.store.apply(a_folder(8)) == ["DBOSQueue default/files configured"]
    assert world.there.identity.generation == 2


def test_a_status_patch_merges_and_is_seen_in_the_desired_state(world: World) -> None:
    world.store.patch_status(world.there.identity, {"observedGeneration": 1, "queue": {"depth": 3}})
    world.store.patch_status(world.there.identity, {"queue": {"running": 1}})

    assert world.there.status == {"observedGeneration": 1, "queue": {"depth": 3, "running": 1}}


def test_a_removed_object_without_finalizers_is_gone_at_once(world: World) -> None:
    identity = world.there.identity

    assert world.store.apply(NOTHING) == ["DBOSQueue default/files deleted"]

    assert world.queue is None
    with pytest.raises(NotFoundError):
        world.store.patch_status(identity, {})


def test_a_removed_object_with_a_finalizer_stays_until_that_is_taken_off(world: World) -> None:
    world.store.set_finalizers(world.there.identity, [FINALIZER])

    world.store.apply(NOTHING)

    assert world.there.identity.deleting_since == NOW
    assert world.store.deleting
    assert world.store.apply(NOTHING) == []
    world.store.set_finalizers(world.there.identity, [])
    assert world.queue is None
    assert not world.store.deleting


def test_an_object_saved_again_during_its_deletion_is_created_afterwards(world: World) -> None:
    world.store.set_finalizers(world.there.identity, [FINALIZER])
    world.store.apply(NOTHING)

    world.store.apply(a_folder(2))
    assert world.there.identity.deleting_since is not None
    world.store.set_finalizers(world.there.identity, [])

    assert world.there.identity.deleting_since is None
    assert world.there.identity.generation == 1
    assert world.there.identity.finalizers == ()


def test_a_merge_patch_replaces_lists_and_removes_nulls() -> None:
    before = {"a": 1, "b": {"c": 1, "d": 2}, "e": [1, 2]}

    assert merge(before, {"a": None, "b": {"c": None}, "e": [3], "f": {"g": None}}) == {
        "b": {"d": 2},
        "e": [3],
        "f": {},
    }
