"""The two images: built where no archive is given, and handed to the command that loads them into the cluster."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from journey.settings import Settings
from journey.show import Show

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 1800.0
LOAD_SECONDS = 600.0


class ImageError(Exception):
    """An image could not be built or loaded; the text is what the command said."""


def provide_images(settings: Settings, show: Show) -> None:
    """Have both images in the cluster. Without a command to load them, the cluster is expected to pull them."""
    if settings.load_image is None:
        show.note(f"the cluster has or pulls {settings.operator_image} and {settings.worker_image}")
        return
    wanted = [
        ("operator", settings.operator_image, settings.operator_archive),
        ("worker", settings.worker_image, settings.worker_archive),
    ]
    for target, image, given in wanted:
        archive = given or _build(target, image, show)
        _load(settings.load_image, image, archive)
        show.note(f"{image} is loaded from {archive.name}, {archive.stat().st_size / 1e6:.0f} MB")


def _build(target: str, image: str, show: Show) -> Path:
    show.note(f"building {image} (minutes at first, seconds later)")
    folder = ROOT / "build" / "images"
    tag = image.rpartition(":")[2]
    variables = {"IMAGE_TARGETS": target, "IMAGE_TAG": tag, "IMAGE_ARCHIVES": str(folder)}
    _run(["make", "image"], what="make image", environment=variables, seconds=BUILD_SECONDS)
    return folder / f"dbos-{target}.tar"


def _load(command: str, image: str, archive: Path) -> None:
    line = f"{command} {shlex.quote(str(archive))}"
    environment = {"E2E_IMAGE": image, "E2E_ARCHIVE": str(archive)}
    _run(["sh", "-c", line], what="E2E_LOAD_IMAGE", environment=environment, seconds=LOAD_SECONDS)


def _run(command: list[str], *, what: str, environment: dict[str, str], seconds: float) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{what}: {command} took longer than {seconds:g} s") from error
    if done.returncode != 0:
        raise ImageError(f"{what}: {command} ended with status {done.returncode}:\n{done.stdout[-4000:]}")
