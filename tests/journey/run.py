"""The journey: its acts in order, and how one run ends."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Mapping

from journey.acts_faults import database_restarted, forced_deletion, graceful_deletion, operator_killed
from journey.acts_install import helm_install, images, missing_database
from journey.acts_release import helm_test, helm_uninstall, helm_upgrade, metrics
from journey.acts_work import from_zero_to_zero
from journey.diagnosis import diagnose
from journey.lifecycle import opened_stage
from journey.settings import SettingsError, read_settings
from journey.show import Show
from journey.stage import Acts, Stage
from journey.tools import find_kubectl
from support.controlplane.binaries import ToolsUnavailableError
from support.helm import find_helm

ACTS: Acts = (
    ("Images are built and loaded", images),
    ("helm install --wait", helm_install),
    ("A missing Secret and an unreachable database are said, and mended", missing_database),
    ("A schedule fires at zero workers; pods come, work, and go", from_zero_to_zero),
    ("A pod that is deleted drains", graceful_deletion),
    ("What a pod deleted by force ran is finished elsewhere", forced_deletion),
    ("The operator is killed and replaced", operator_killed),
    ("PostgreSQL restarts under load", database_restarted),
    ("Metrics are scraped from the Service and from pods", metrics),
    ("helm test, with and without a database", helm_test),
    ("helm upgrade under load", helm_upgrade),
    ("helm uninstall leaves everything, and an install goes on with it", helm_uninstall),
)


def run_journey(environ: Mapping[str, str]) -> int:
    """Run every act in order, up to the first one that fails: 0 passed, 1 failed, 2 something is missing."""
    show = Show(total=len(ACTS))
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # as Ctrl-C: what was made is removed
    try:
        settings = read_settings(environ)
        with opened_stage(settings, show, find_kubectl(environ, show.tell), find_helm(environ, show.tell)) as stage:
            passed = perform(stage)
    except (SettingsError, ToolsUnavailableError) as error:
        show.tell(f"\nmake e2e cannot begin:\n{error}\n\ndocs/e2e.md explains the settings.")
        return 2
    return 0 if passed else 1


def perform(stage: Stage) -> bool:
    """Whether all acts passed; the first failure is told with all that helps to understand it."""
    for title, act in ACTS:
        stage.show.begin(title)
        try:
            act(stage)
        except SettingsError:
            raise
        except Exception:  # noqa: BLE001 -- an act may fail in any way, and each is told the same way
            stage.show.end(title, passed=False)
            stage.show.tell(traceback.format_exc())
            for part in diagnose(stage):
                stage.show.tell(part)
            break
        stage.show.end(title, passed=True)
    stage.show.summary()
    if stage.settings.keep:
        stage.show.tell(f"kept: namespaces {stage.kubectl.namespace} and {stage.operator.namespace}")
    return stage.show.all_passed
