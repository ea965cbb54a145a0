"""What the journey is told by its environment, checked before anything is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OPERATOR_IMAGE = "dbos-operator:e2e"
WORKER_IMAGE = "dbos-worker:e2e"
_IMAGE = re.compile(r"[a-z0-9][\w.:/-]*:[\w.-]+")


class SettingsError(Exception):
    """The journey cannot begin; one line for each thing that must be changed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One cluster, one PostgreSQL, two images, and how to reach and restart them."""

    kubeconfig: Path
    database_url: str
    """As pods reach it. Its role may create databases."""
    database_restart: str
    load_image: str | None
    """None: the cluster pulls the images itself, or has them."""
    operator_image: str
    worker_image: str
    operator_archive: Path | None
    """None: the archive is built."""
    worker_archive: Path | None
    keep: bool


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings, complete and plausible. SettingsError names everything that is not, at once."""
    problems: list[str] = []
    kubeconfig = _file(environ, "KUBECONFIG", problems)
    database_url = _required(environ, "E2E_DATABASE_URL", "the URL of a PostgreSQL as pods reach it", problems)
    if database_url and not re.match(r"postgres(ql)?://", database_url):
        problems.append("E2E_DATABASE_URL: expected postgresql://user:password@host:port/database")
    restart = _required(environ, "E2E_DATABASE_RESTART", "the command that restarts that PostgreSQL", problems)
    load = environ.get("E2E_LOAD_IMAGE") or None
    if load is None and not (environ.get("E2E_OPERATOR_IMAGE") and environ.get("E2E_WORKER_IMAGE")):
        problems.append(
            "E2E_LOAD_IMAGE: expected the command that loads an image archive into the cluster (the path is added as"
            " its last argument), or E2E_OPERATOR_IMAGE and E2E_WORKER_IMAGE with images that the cluster can pull"
        )
    settings = Settings(
        kubeconfig=kubeconfig or Path(),
        database_url=database_url,
        database_restart=restart,
        load_image=load,
        operator_image=_image(environ, "E2E_OPERATOR_IMAGE", OPERATOR_IMAGE, problems),
        worker_image=_image(environ, "E2E_WORKER_IMAGE", WORKER_IMAGE, problems),
        operator_archive=_file(environ, "E2E_OPERATOR_ARCHIVE", problems, optional=True),
        worker_archive=_file(environ, "E2E_WORKER_ARCHIVE", problems, optional=True),
        keep=environ.get("E2E_KEEP", "") not in {"", "0"},
    )
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _required(environ: Mapping[str, str], name: str, what: str, problems: list[str]) -> str:
    found = environ.get(name, "")
    if not found:
        problems.append(f"{name}: expected {what}, found nothing")
    return found


def _file(environ: Mapping[str, str], name: str, problems: list[str], *, optional: bool = False) -> Path | None:
    found = environ.get(name, "")
    if not found:
        if not optional:
            problems.append(f"{name}: expected the path of a file, found nothing")
        return None
    path = Path(found).expanduser().absolute()
    if not path.is_file() or not os.access(path, os.R_OK):
        problems.append(f"{name}: expected one file that can be read, found {found}")
    return path


def _image(environ: Mapping[str, str], name: str, default: str, problems: list[str]) -> str:
    image = environ.get(name) or default
    if not _IMAGE.fullmatch(image):
        problems.append(f"{name}: expected NAME:TAG, found {image}")
    return image
