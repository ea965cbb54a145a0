"""How images get into a cluster: the command of E2E_LOAD_IMAGE, with a shell that writes down what it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from journey.images import ImageError, provide_images
from journey.settings import Settings
from journey.show import Show


def settings(tmp_path: Path, load_image: str | None) -> Settings:
    for name in ("operator", "worker"):
        (tmp_path / f"{name} image.tar").write_bytes(b"image")
    return Settings(
        kubeconfig=tmp_path,
        database_url="postgresql://",
        database_restart="true",
        load_image=load_image,
        operator_image="dbos-operator:e2e",
        worker_image="dbos-worker:e2e",
        operator_archive=tmp_path / "operator image.tar",
        worker_archive=tmp_path / "worker image.tar",
        keep=False,
    )


def test_the_command_gets_each_archive_as_its_last_argument_and_the_name_beside_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = f'printf "%s|%s|%s\\n" "$E2E_IMAGE" "$E2E_ARCHIVE" >>{log}'
    provide_images(settings(tmp_path, command), Show(total=1))
    assert log.read_text().splitlines() == [
        f"dbos-operator:e2e|{tmp_path}/operator image.tar|{tmp_path}/operator image.tar",
        f"dbos-worker:e2e|{tmp_path}/worker image.tar|{tmp_path}/worker image.tar",
    ]


def test_a_command_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"(?s)E2E_LOAD_IMAGE.*status 3.*no such node"):
        provide_images(settings(tmp_path, "echo no such node >&2; exit 3;"), Show(total=1))


def test_without_a_command_nothing_is_built_or_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    provide_images(settings(tmp_path, None), Show(total=1))
    assert "dbos-operator:e2e and dbos-worker:e2e" in capsys.readouterr().err
