from __future__ import annotations

from prometheus_client.exposition import generate_latest

from dbos_operator.observability.metrics import OperatorMetrics

DATABASE = "team/default"


def text(metrics: OperatorMetrics) -> str:
    return generate_latest(metrics.registry).decode()


def filled() -> OperatorMetrics:
    metrics = OperatorMetrics()
    metrics.set_database_up(DATABASE, up=True)
    metrics.observe_reconcile(DATABASE, 0.1)
    metrics.add_rows_written(DATABASE, 3)
    metrics.add_recovered(DATABASE, 2)
    metrics.add_fired(DATABASE, "nightly", 1)
    metrics.set_schedules(DATABASE, {"nightly": 5.0, "paused": None})
    metrics.set_workers(DATABASE, {("team", "Deployment", "worker"): (3, 2)})
    metrics.set_depths(DATABASE, {("q", "ENQUEUED"): 7}, {"q": 4.0})
    metrics.add_completed(DATABASE, {("q", "ERROR"): 1}, {("q", "ERROR"): 2})
    return metrics


def test_every_family_has_its_name() -> None:
    names = {line.split("{")[0] for line in text(filled()).splitlines() if not line.startswith("#")}
    assert {name for name in names if not name.endswith(("_created", "_bucket", "_sum", "_count"))} == {
        f"dbos_operator_{name}"
        for name in (
            "queue_depth",
            "queue_oldest_enqueued_timestamp_seconds",
            "workflows_completed_total",
            "schedule_next_run_timestamp_seconds",
            "schedule_fired_total",
            "schedule_missed_total",
            "workers_desired",
            "workers_current",
            "recovered_workflows_total",
            "rows_written_total",
            "database_up",
            "build_info",
        )
    }
    assert "dbos_operator_reconcile_seconds_bucket" in names


def test_counters_are_there_at_zero_before_anything_happens() -> None:
    metrics = OperatorMetrics()
    metrics.set_database_up(DATABASE, up=False)
    metrics.set_schedules(DATABASE, {"nightly": None})
    metrics.expect_completed(DATABASE, ["q"])
    shown = text(metrics)
    for series in (
        'recovered_workflows_total{database="team/default"}',
        'rows_written_total{database="team/default"}',
        'schedule_fired_total{database="team/default",schedule="nightly"}',
        'schedule_missed_total{database="team/default",schedule="nightly"}',
        'workflows_completed_total{database="team/default",queue="q",status="ERROR"}',
        'workflows_completed_total{database="team/default",queue="q",status="MAX_RECOVERY_ATTEMPTS_EXCEEDED"}',
    ):
        assert f"dbos_operator_{series} 0.0" in shown


def test_what_was_counted_stays_when_it_is_expected_again() -> None:
    metrics = filled()
    metrics.expect_completed(DATABASE, ["q"])
    assert 'workflows_completed_total{database="team/default",queue="q",status="ERROR"} 3.0' in text(metrics)


def test_missed_runs_are_counted_by_schedule() -> None:
    metrics = filled()
    metrics.add_missed(DATABASE, "nightly", 2)
    assert 'schedule_missed_total{database="team/default",schedule="nightly"} 2.0' in text(metrics)


def test_series_of_what_is_gone_are_removed() -> None:
    metrics = filled()
    metrics.set_schedules(DATABASE, {"other": 1.0})
    metrics.set_workers(DATABASE, {})
    metrics.set_depths(DATABASE, {}, {})
    for gone in ("nightly", 'name="worker"', 'queue="q",status="ENQUEUED"', "oldest_enqueued_timestamp_seconds{"):
        assert gone not in text(metrics)


def test_completions_of_a_queue_that_is_gone_leave_no_series_and_stay_counted() -> None:
    metrics = filled()
    metrics.add_completed("team/other", {("q", "SUCCESS"): 1}, {})

    metrics.expect_completed(DATABASE, ["", "r"])
    metrics.add_completed(DATABASE, {("", "ERROR"): 2}, {})

    shown = text(metrics)
    assert 'workflows_completed_total{database="team/default",queue="q"' not in shown
    assert 'workflows_completed_total{database="team/default",queue="r",status="ERROR"} 0.0' in shown
    assert 'workflows_completed_total{database="team/other",queue="q",status="SUCCESS"} 1.0' in shown
    assert metrics.failed_total == 3


def test_a_queue_that_comes_back_begins_at_zero() -> None:
    metrics = filled()
    metrics.expect_completed(DATABASE, [])
    metrics.expect_completed(DATABASE, ["q"])
    assert 'workflows_completed_total{database="team/default",queue="q",status="ERROR"} 0.0' in text(metrics)


def test_a_database_that_is_gone_leaves_nothing() -> None:
    metrics = filled()
    metrics.drop_database(DATABASE)
    assert DATABASE not in text(metrics)


def test_a_completion_that_is_sampled_again_is_counted_once_and_never_falls() -> None:
    metrics = OperatorMetrics()
    for settled, recent in (({}, {("q", "ERROR"): 2}), ({("q", "ERROR"): 2}, {}), ({}, {("q", "ERROR"): 1}), ({}, {})):
        metrics.add_completed(DATABASE, settled, recent)
    assert metrics.failed_total == 3
    metrics.add_completed(DATABASE, {("q", "SUCCESS"): 9, ("q", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"): 1}, {})
    assert metrics.failed_total == 4
