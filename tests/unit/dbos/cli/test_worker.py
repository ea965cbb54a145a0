"""What `dbos worker` refuses before it loads anything."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from dbos.cli.main import main


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e300", "1,5", " "])
def test_a_grace_period_that_cannot_be_is_refused_and_named(text: str) -> None:
    done = CliRunner(env={"DBOS_SHUTDOWN_GRACE_SEC": text}).invoke(main, ["worker", "no_such_module"])
    assert done.exit_code == 2
    assert f"DBOS_SHUTDOWN_GRACE_SEC: expected seconds, 0 or more, got {text!r}" in done.output


def test_a_module_is_asked_for() -> None:
    done = CliRunner().invoke(main, ["worker"])
    assert done.exit_code == 2
    assert "MODULE_OR_FILE" in done.output
