"""One workflow for each text file of a folder, and a scheduled one that finds the files."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

QUEUE = "files"
SUFFIXES = {".adoc", ".csv", ".html", ".json", ".md", ".py", ".rst", ".toml", ".txt", ".yaml", ".yml"}
SKIPPED_FOLDERS = {"__pycache__", "build", "dist", "node_modules"}


def folder() -> Path:
    """FOLDER, else the documents of the repository around this file, else the folder of this file."""
    here = Path(__file__).resolve().parent
    documents = here.parent.parent / "docs"
    return Path(os.environ.get("FOLDER") or (documents if documents.is_dir() else here)).resolve()


def text_files(root: Path) -> list[Path]:
    """The text files below a folder, hidden ones left out."""
    return sorted(path for path in root.rglob("*") if path.suffix in SUFFIXES and _is_wanted(path, root))


def workflow_id(path: Path, root: Path) -> str:
    """The same for the same content: a file is processed again only once it has changed."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return f"{path.relative_to(root).as_posix()}-{digest}"


DBOS(config={"name": "quickstart"})  # DBOS_SYSTEM_DATABASE_URL says where


@DBOS.workflow()
def scan_files(scheduled_time: datetime, context: dict[str, Any]) -> int:
    """Enqueue one workflow for each file that is new or has changed."""
    files = find_files()
    for path, identifier in files:
        with SetWorkflowID(identifier):
            DBOS.enqueue_workflow(QUEUE, process_file, path, context["secondsPerStep"])
    DBOS.logger.info("%d files in the folder at %s", len(files), scheduled_time.isoformat())
    return len(files)


@DBOS.workflow()
def process_file(path: str, seconds_per_step: float) -> dict[str, Any]:
    """Measure a file in four steps; a worker that dies in the middle repeats one of them at most."""
    size = read(path, seconds_per_step)
    words = count(path, seconds_per_step)
    headings = outline(path, seconds_per_step)
    digest = fingerprint(path, seconds_per_step)
    return {"path": path, **size, **words, "headings": headings, "sha256": digest}


@DBOS.step()
def find_files() -> list[tuple[str, str]]:
    """Every text file of the folder, with the ID of its workflow."""
    root = folder()
    return [(str(path), workflow_id(path, root)) for path in text_files(root)]


@DBOS.step()
def read(path: str, seconds: float) -> dict[str, int]:
    """How large the file is. A file that is no UTF-8 text raises, and its workflow ends with that error."""
    content = Path(path).read_bytes()
    time.sleep(seconds)
    return {"bytes": len(content), "characters": len(content.decode())}


@DBOS.step()
def count(path: str, seconds: float) -> dict[str, int]:
    """Lines and words."""
    text = Path(path).read_text(encoding="utf-8")
    time.sleep(seconds)
    return {"lines": len(text.splitlines()), "words": len(text.split())}


@DBOS.step()
def outline(path: str, seconds: float) -> list[str]:
    """The headings of a markdown file."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    time.sleep(seconds)
    return [line.lstrip("# ").strip() for line in lines if line.startswith("#")]


@DBOS.step()
def fingerprint(path: str, seconds: float) -> str:
    """The digest of the content."""
    content = Path(path).read_bytes()
    time.sleep(seconds)
    return hashlib.sha256(content).hexdigest()


def _is_wanted(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    return path.is_file() and not any(part.startswith(".") or part in SKIPPED_FOLDERS for part in parts)
