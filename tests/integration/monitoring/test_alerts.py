"""Every alert fires when it should and not when it should not, as promtool tries it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.dashboards import ALERTS, list_alerts
from support.prometheus.fetch import PrometheusPrograms

CASES = sorted((Path(__file__).parent / "alerts").glob("*.yaml"))


def promtool(programs: PrometheusPrograms, *arguments: str | Path) -> str:
    done = subprocess.run(
        [programs.promtool, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=CASES[0].parent
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_rules_and_nothing_about_them_is_odd(prometheus_programs: PrometheusPrograms) -> None:
    assert promtool(prometheus_programs, "check", "rules", "--lint=all", "--lint-fatal", *ALERTS).count("SUCCESS") == 2


@pytest.mark.parametrize("cases", CASES, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_only_then(cases: Path, prometheus_programs: PrometheusPrograms) -> None:
    assert "SUCCESS" in promtool(prometheus_programs, "test", "rules", cases)


def tried() -> list[dict[str, Any]]:
    files = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in CASES)
    return [case for content in files for test in content["tests"] for case in test["alert_rule_test"]]


@pytest.mark.parametrize("fires", [True, False], ids=["firing", "silent"])
def test_every_alert_is_tried(fires: bool) -> None:
    assert {case["alertname"] for case in tried() if bool(case["exp_alerts"]) == fires} == {
        alert["alert"] for alert in list_alerts()
    }
