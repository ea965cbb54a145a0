"""Options of `dbos-operator local`, as far as they are refused before a folder is looked at."""

from __future__ import annotations

import pytest

from dbos_operator.cli.main import run_command


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run_command(["local", *arguments]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("arguments", [(), ("--until-idle",)])
def test_without_a_path_it_says_what_it_expects(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    line = refusal(capsys, *arguments)

    assert line == "dbos-operator: PATH…: expected a YAML file or a folder of them, got nothing\n"


def test_a_bad_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "folder", "--tick", "0s")

    assert line == "dbos-operator: --tick: expected a duration above zero such as 5s, 500ms or 1m30s, got '0s'\n"
