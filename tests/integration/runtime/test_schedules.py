"""Schedules made in code: their rows, and what calls about them refuse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, DBOSConfiguredInstance
from dbos.error import DBOSException, DBOSWorkflowFunctionNotFoundError
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.twins import Twin

pytestmark = pytest.mark.both_databases

YEARLY = "0 0 1 1 *"
EVERY_SECOND = "* * * * * *"


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """Both kinds of calls."""
    return Twin(is_async=request.param)


@pytest.fixture
def report() -> Callable[..., Any]:
    """A workflow for schedules."""

    @DBOS.workflow(name="report")
    def run(moment: datetime, context: Any) -> list[Any]:
        return [moment.isoformat(), context]

    return run


def _rows(sql: Bystander) -> list[dict[str, Any]]:
    return sql.execute("SELECT * FROM dbos.workflow_schedules ORDER BY schedule_name").fetchall()


def test_a_schedule_is_a_row_that_both_kinds_of_calls_write_and_read(
    launch: Launch, twin: Twin, sql: Bystander, report: Any
) -> None:
    launch()
    DBOS.register_queue("reports")
    twin.call(
        DBOS,
        "create_schedule",
        schedule_name="yearly",
        workflow_fn=report,
        schedule=YEARLY,
        context={"region": "eu"},
        automatic_backfill=True,
        cron_timezone="Europe/Berlin",
        queue_name="reports",
    )
    [row] = _rows(sql)
    seen = twin.call(DBOS, "get_schedule", "yearly")
    assert seen == {**row, "automatic_backfill": True, "context": {"region": "eu"}}
    assert (row["status"], row["application_name"], row["last_fired_at"]) == ("ACTIVE", "orders", None)
    assert len(row["schedule_id"]) == 36
    assert twin.call(DBOS, "list_schedules") == [seen]
    assert twin.call(DBOS, "get_schedule", "another") is None
    twin.call(DBOS, "delete_schedule", "yearly")
    twin.call(DBOS, "delete_schedule", "yearly")
    assert twin.call(DBOS, "list_schedules") == _rows(sql) == []


def test_the_client_writes_and_reads_the_same(
    launch: Launch, twin: Twin, sql: Bystander, report: Any, client: DBOSClient
) -> None:
    launch()
    DBOS.create_schedule(schedule_name="a", workflow_fn=report, schedule=YEARLY, context=[1])
    twin.call(client, "create_schedule", schedule_name="b", workflow_name="report", schedule=YEARLY, context=[1])
    first, second = _rows(sql)
    for row in (first, second):
        del row["schedule_id"], row["schedule_name"]
    assert first == second
    assert [row["schedule_name"] for row in twin.call(client, "list_schedules")] == ["a", "b"]
    assert twin.call(client, "get_schedule", "b") == twin.call(DBOS, "get_schedule", "b")
    twin.call(client, "delete_schedule", "a")
    client.pause_schedule("b")
    assert [row["schedule_name"] for row in twin.call(DBOS, "list_schedules", status="PAUSED")] == ["b"]


def test_applying_creates_what_is_new_and_keeps_status_and_identity_of_the_rest(
    launch: Launch, twin: Twin, sql: Bystander, report: Any
) -> None:
    launch()
    DBOS.create_schedule(schedule_name="a", workflow_fn=report, schedule=YEARLY, context=1, cron_timezone="UTC")
    DBOS.pause_schedule("a")
    [before] = _rows(sql)
    twin.call(
        DBOS,
        "apply_schedules",
        [
            {"schedule_name": "a", "workflow_fn": report, "schedule": "0 0 2 1 *"},
            {"schedule_name": "b", "workflow_fn": report, "schedule": YEARLY, "context": 2},
        ],
    )
    [a, b] = _rows(sql)
    assert (a["schedule_id"], a["status"]) == (before["schedule_id"], "PAUSED")
    assert (a["schedule"], a["cron_timezone"], b["status"]) == ("0 0 2 1 *", None, "ACTIVE")
    twin.call(DBOS, "apply_schedules", [])
    assert len(_rows(sql)) == 2


def test_applying_is_all_or_nothing(launch: Launch, twin: Twin, sql: Bystander, report: Any) -> None:
    launch()
    sql.execute(
        "INSERT INTO dbos.workflow_schedules (schedule_id, schedule_name, workflow_name, schedule, context,"
        " application_name) VALUES ('x', 'theirs', 'w', %s, 'gAROLg==', 'billing')",
        [YEARLY],
    )
    good = {"schedule_name": "good", "workflow_fn": report, "schedule": YEARLY}
    for bad, message in (
        ({"schedule_name": "bad", "workflow_fn": report, "schedule": "nonsense"}, "Invalid cron schedule of 'bad'"),
        ({"schedule_name": "theirs", "workflow_fn": report, "schedule": YEARLY}, "belongs to application 'billing'"),
        ({"schedule_name": "bad"}, "entry 1 is missing required field 'workflow_fn'"),
        ({**good, "schedule_name": "b", "queue_name": "nowhere"}, "Queue 'nowhere' is not declared"),
    ):
        with pytest.raises(DBOSException, match=message):
            twin.call(DBOS, "apply_schedules", [good, bad])
    with pytest.raises(TypeError, match="entry 0: unknown cron; known are automatic_backfill"):
        twin.call(DBOS, "apply_schedules", [{**good, "cron": YEARLY}])
    with pytest.raises(TypeError, match="expected a list, got dict"):
        twin.call(DBOS, "apply_schedules", good)
    assert [row["schedule_name"] for row in _rows(sql)] == ["theirs"]


def test_listing_filters_by_everything_and_shows_own_and_unowned(
    launch: Launch, report: Any, client: DBOSClient
) -> None:
    @DBOS.workflow(name="other")
    def other(_moment: datetime, _context: Any) -> None: ...

    launch()
    DBOS.create_schedule(schedule_name="one", workflow_fn=report, schedule=YEARLY)
    DBOS.create_schedule(schedule_name="two", workflow_fn=other, schedule=YEARLY)
    client.create_schedule(schedule_name="foreign", workflow_name="report", schedule=YEARLY, application_name="billing")
    DBOS.pause_schedule("two")

    def names(**filters: Any) -> list[str]:
        return [row["schedule_name"] for row in DBOS.list_schedules(**filters)]

    assert names() == ["one", "two"]
    assert names(status="ACTIVE") == names(workflow_name="report") == names(schedule_name_prefix="o") == ["one"]
    assert names(status=["ACTIVE", "PAUSED"], workflow_name=["report", "other"]) == ["one", "two"]
    assert names(schedule_name_prefix=["tw", "x"]) == ["two"]
    assert names(application_name="billing") == ["foreign"]
    assert names(application_name=["billing", "orders"]) == names(application_name=[]) == ["foreign", "one", "two"]
    assert names(status="NONE") == names(schedule_name_prefix="o%") == []
    with pytest.raises(TypeError, match="expected text or a list of texts"):
        names(status=5)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"schedule": "* * * *"}, DBOSException, "Invalid cron schedule of 's'.*expected five fields"),
        ({"schedule": "61 * * * *"}, DBOSException, "values are in range"),
        ({"schedule": "0 0 31 2 *"}, DBOSException, "whose dates exist"),
        ({"schedule": "H * * * *"}, DBOSException, "fixed times"),
        ({"schedule": 5}, TypeError, "schedule: expected a cron text, got int"),
        ({"cron_timezone": "Mars/Base"}, DBOSException, "Invalid timezone of schedule 's'.*IANA"),
        ({"cron_timezone": 2}, TypeError, "cron_timezone: expected the name"),
        ({"queue_name": "nowhere"}, DBOSException, "Queue 'nowhere' is not declared"),
        ({"queue_name": 7}, TypeError, "queue_name: expected text"),
        ({"schedule_name": " "}, ValueError, "schedule_name: expected text that is not blank"),
        ({"schedule_name": None}, TypeError, "schedule_name: expected text"),
        ({"automatic_backfill": "yes"}, TypeError, "automatic_backfill: expected True or False"),
        ({"context": lambda: None}, Exception, "pickle"),
    ],
)
def test_what_cannot_be_is_refused_at_the_call(
    launch: Launch, twin: Twin, report: Any, fields: dict[str, Any], error: type, message: str
) -> None:
    launch()
    given = {"schedule_name": "s", "workflow_fn": report, "schedule": YEARLY, **fields}
    with pytest.raises(error, match=message):
        twin.call(DBOS, "create_schedule", **given)
    assert DBOS.list_schedules() == []


def test_a_workflow_that_takes_no_two_arguments_is_refused(launch: Launch, twin: Twin) -> None:
    @DBOS.workflow(name="lonely")
    def lonely(moment: datetime) -> None: ...

    launch()
    with pytest.raises(DBOSException, match=r"lonely\(moment\): expected a workflow that takes two arguments"):
        twin.call(DBOS, "create_schedule", schedule_name="s", workflow_fn=lonely, schedule=YEARLY)
    assert DBOS.list_schedules() == []


def test_a_taken_name_is_refused_and_a_foreign_one_says_whose(
    launch: Launch, twin: Twin, report: Any, client: DBOSClient
) -> None:
    launch()
    client.create_schedule(schedule_name="a", workflow_name="w", schedule=YEARLY)
    client.create_schedule(schedule_name="b", workflow_name="w", schedule=YEARLY, application_name="billing")
    with pytest.raises(DBOSException, match=r"Schedule 'a' already exists$"):
        twin.call(DBOS, "create_schedule", schedule_name="a", workflow_fn=report, schedule=YEARLY)
    with pytest.raises(DBOSException, match="'b' belongs to application 'billing'"):
        twin.call(DBOS, "create_schedule", schedule_name="b", workflow_fn=report, schedule=YEARLY)


def test_functions_static_methods_and_class_methods_can_be_scheduled_and_nothing_else(
    launch: Launch, sql: Bystander
) -> None:
    @DBOS.dbos_class("Clerk")
    class Clerk(DBOSConfiguredInstance):
        @staticmethod
        @DBOS.workflow(name="fixed")
        def fixed(_moment: datetime, _context: Any) -> str:
            return "static"

        @classmethod
        @DBOS.workflow(name="shared")
        def shared(cls, _moment: datetime, _context: Any) -> str:
            return cls.__name__

        @DBOS.workflow(name="own")
        def own(self, _moment: datetime, _context: Any) -> None: ...

    @DBOS.step()
    def a_step(_moment: datetime, _context: Any) -> None: ...

    def plain(_moment: datetime, _context: Any) -> None: ...

    clerk = Clerk("one")
    launch()
    for method in (clerk.own, Clerk.own):
        with pytest.raises(DBOSException, match="own is a method of an instance"):
            DBOS.create_schedule(schedule_name="s", workflow_fn=method, schedule=YEARLY)
    with pytest.raises(DBOSException, match="a_step is a step"):
        DBOS.create_schedule(schedule_name="s", workflow_fn=a_step, schedule=YEARLY)
    with pytest.raises(DBOSWorkflowFunctionNotFoundError, match="plain is not registered"):
        DBOS.create_schedule(schedule_name="s", workflow_fn=plain, schedule=YEARLY)
    DBOS.create_schedule(schedule_name="class", workflow_fn=Clerk.shared, schedule=YEARLY)
    DBOS.create_schedule(schedule_name="static", workflow_fn=Clerk.fixed, schedule=YEARLY)
    assert [(row["workflow_name"], row["workflow_class_name"]) for row in _rows(sql)] == [
        ("shared", "Clerk"),
        ("fixed", None),
    ]
    results: list[Any] = [DBOS.trigger_schedule(name).get_result() for name in ("class", "static")]
    assert results == ["Clerk", "static"]


def test_rows_that_a_resource_manages_are_left_alone(
    launch: Launch, sql: Bystander, report: Any, client: DBOSClient, caplog: pytest.LogCaptureFixture
) -> None:
    launch(log_level="INFO")
    sql.execute(
        "INSERT INTO dbos.workflow_schedules (schedule_id, schedule_name, workflow_name, schedule, context,"
        " application_name) VALUES ('k8s:c:u', 'managed', 'report', %s, 'gAROLg==', 'orders')",
        [YEARLY],
    )
    before = _rows(sql)
    for owner in (DBOS, client):
        for call in ("pause_schedule", "resume_schedule", "delete_schedule"):
            getattr(owner, call)("managed")
    DBOS.apply_schedules([{"schedule_name": "managed", "workflow_fn": report, "schedule": EVERY_SECOND}])
    with pytest.raises(DBOSException, match="already exists and is managed by a DBOSSchedule resource"):
        DBOS.create_schedule(schedule_name="managed", workflow_fn=report, schedule=YEARLY)
    assert _rows(sql) == before
    said = [record.getMessage() for record in caplog.records if "managed by a DBOSSchedule" in record.getMessage()]
    assert len(said) == 7
    triggered: Any = DBOS.trigger_schedule("managed").get_result()
    assert triggered[1] is None


def test_a_context_that_cannot_be_read_is_shown_as_it_is_and_breaks_no_listing(
    launch: Launch, sql: Bystander, report: Any
) -> None:
    launch()
    DBOS.create_schedule(schedule_name="good", workflow_fn=report, schedule=YEARLY, context=1)
    sql.execute(
        "INSERT INTO dbos.workflow_schedules (schedule_id, schedule_name, workflow_name, schedule, context)"
        " VALUES ('x', 'bad', 'w', %s, 'gibberish')",
        [YEARLY],
    )
    assert [row["context"] for row in DBOS.list_schedules()] == ["gibberish", 1]
    with pytest.raises(DBOSException, match="context of schedule 'bad' cannot be read here"):
        DBOS.trigger_schedule("bad")


def test_calls_before_the_launch_say_so(report: Any) -> None:
    with pytest.raises(DBOSException, match=r"DBOS\.launch\(\)|DBOS\(config=…\)"):
        DBOS.create_schedule(schedule_name="s", workflow_fn=report, schedule=YEARLY)
    with pytest.raises(DBOSException):
        DBOS.list_schedules()
    DBOS.destroy(destroy_registry=True)
