from __future__ import annotations

from pathlib import Path

import pytest

from journey.settings import SettingsError, read_settings


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("")
    return {
        "KUBECONFIG": str(kubeconfig),
        "E2E_DATABASE_URL": "postgresql://e2e@postgres.example.com/e2e",
        "E2E_DATABASE_RESTART": "systemctl restart postgresql",
        "E2E_LOAD_IMAGE": "minikube image load",
    }


def test_four_variables_are_enough(environ: dict[str, str]) -> None:
    settings = read_settings(environ)
    assert (settings.operator_image, settings.worker_image) == ("dbos-operator:e2e", "dbos-worker:e2e")
    assert settings.load_image == "minikube image load"
    assert not settings.keep


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({})
    named = [line.partition(":")[0] for line in str(refused.value).splitlines()]
    assert named == ["KUBECONFIG", "E2E_DATABASE_URL", "E2E_DATABASE_RESTART", "E2E_LOAD_IMAGE"]


def test_images_that_the_cluster_pulls_need_no_command_to_load_them(environ: dict[str, str]) -> None:
    del environ["E2E_LOAD_IMAGE"]
    images = {"E2E_OPERATOR_IMAGE": "example.com:5000/operator:1", "E2E_WORKER_IMAGE": "example.com:5000/worker:1"}
    assert read_settings(environ | images).load_image is None
    with pytest.raises(SettingsError, match="E2E_LOAD_IMAGE"):
        read_settings(environ | {"E2E_OPERATOR_IMAGE": "example.com/operator:1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KUBECONFIG", "missing"),
        ("KUBECONFIG", "a:b"),
        ("E2E_DATABASE_URL", "mysql://e2e@localhost/e2e"),
        ("E2E_OPERATOR_IMAGE", "dbos-operator"),
        ("E2E_WORKER_ARCHIVE", "missing.tar"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(environ: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings(environ | {name: value})


def test_keeping_what_a_run_made_is_asked_for_by_a_number(environ: dict[str, str]) -> None:
    assert read_settings(environ | {"E2E_KEEP": "1"}).keep
    assert not read_settings(environ | {"E2E_KEEP": "0"}).keep
