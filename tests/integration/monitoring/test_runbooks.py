"""What the runbooks tell a person to type can be typed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import psycopg
import pytest
import yaml

from support.dashboards import ROOT
from support.prometheus.fetch import PrometheusPrograms

PAGES = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@every_page
def test_a_page_begins_with_something_to_type(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    look = text[text.index("## First look") : text.index("## Causes")]

    assert re.search(r"^```(console|sql|promql)$", look, re.MULTILINE)


@every_page
def test_every_statement_is_one_and_changes_nothing(page: Path, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = on")
        for statement in blocks(page, "sql"):
            connection.execute(statement.encode())


@every_page
def test_every_expression_can_be_asked(page: Path, prometheus_programs: PrometheusPrograms, tmp_path: Path) -> None:
    rules = [
        {"record": f"asked:{number}", "expr": expression} for number, expression in enumerate(blocks(page, "promql"))
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}), encoding="utf-8")

    done = subprocess.run(
        [prometheus_programs.promtool, "check", "rules", file], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@every_page
def test_every_command_names_kinds_that_are_there(page: Path) -> None:
    known = {"dq", "ddb", "dsch", "pods", "deployments", "deployment", "statefulset", "replicaset", "events", "secret"}
    known |= {"servicemonitors", "services"}
    for block in blocks(page, "console"):
        for line in block.splitlines():
            assert line.startswith("$ kubectl ")
            found = re.match(r"\$ kubectl (?:-n \S+ )?(?:get|describe) ([a-z,]+)(?:$| )", line)
            assert found is None or set(found[1].split(",")) <= known, line
