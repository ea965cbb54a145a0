"""`make demo`, on a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[3] / "examples" / "quickstart" / "demo.py"


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FOLDER": str(folder)}
    return subprocess.run([sys.executable, DEMO], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.timeout(240)
def test_the_demo_sees_everything_that_it_promises(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.md").write_text(f"# File {number}\n\nwith a few words\n")
    (tmp_path / "broken.md").write_bytes(b"no text: \xff\xfe")

    ended = run_demo(tmp_path)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("  ok  ") == 9
    assert "Everything happened as it should." in ended.stdout


def test_a_folder_without_text_files_is_refused(tmp_path: Path) -> None:
    ended = run_demo(tmp_path)

    assert ended.returncode == 2
    assert ended.stderr == f"demo: {tmp_path}: expected a folder with text files, found none\n"
