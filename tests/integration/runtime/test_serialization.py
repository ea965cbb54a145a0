"""Values in the format of the application, of the workflow, or of every language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from dbos import (
    DBOS,
    DBOSClient,
    DBOSPortableJSONSerializer,
    PortableWorkflowError,
    Serializer,
    SetWorkflowID,
    WorkflowSerializationFormat,
)
from dbos.error import DBOSInitializationError
from dbos.serialization.decoding import read_unnamed_as
from integration.runtime.conftest import APPLICATION, Launch
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases


class JsonSerializer(Serializer):
    """As the product's guide shows it."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)


class NamedSerializer(JsonSerializer):
    """Rows name its format."""

    def name(self) -> str:
        return "shouting"

    def serialize(self, data: Any) -> str:
        return json.dumps(data).upper()

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data.lower())


@pytest.fixture(autouse=True)
def _pickle_again() -> Iterator[None]:
    """What one application's serializer means ends with the test."""
    yield
    read_unnamed_as("py_pickle")


def _stored(sql: Bystander, workflow_id: str) -> tuple[Any, ...]:
    row = sql.execute(
        "SELECT s.serialization, i.inputs, o.output, o.error FROM dbos.workflow_status s"
        " JOIN dbos.workflow_input i ON i.workflow_uuid = s.workflow_uuid"
        " LEFT JOIN dbos.workflow_output o ON o.workflow_uuid = s.workflow_uuid WHERE s.workflow_uuid = %s",
        [workflow_id],
    ).fetchone()
    assert row is not None
    return row["serialization"], row["inputs"], row["output"], row["error"]


def test_the_application_s_own_format_holds_arguments_results_steps_and_events(launch: Launch, sql: Bystander) -> None:
    @DBOS.step()
    def step(text: str) -> list[str]:
        return [text]

    @DBOS.workflow()
    def work(text: str, *, count: int) -> dict[str, Any]:
        DBOS.set_event("seen", text)
        return {"texts": step(text) * count}

    launch(serializer=JsonSerializer())
    DBOS.register_queue("work")
    with SetWorkflowID("direct"):
        assert work("a", count=2) == {"texts": ["a", "a"]}
    with SetWorkflowID("enqueued"):
        assert DBOS.enqueue_workflow("work", work, "b", count=1).get_result() == {"texts": ["b"]}

    expected = ("custom_serializer", '{"args": ["a"], "kwargs": {"count": 2}}', '{"texts": ["a", "a"]}', None)
    assert _stored(sql, "direct") == expected
    steps = sql.execute("SELECT DISTINCT serialization FROM dbos.operation_outputs WHERE output IS NOT NULL").fetchall()
    assert steps == [{"serialization": "custom_serializer"}]
    assert DBOS.get_event("direct", "seen") == "a"
    [status] = DBOS.list_workflows(workflow_ids=["enqueued"])
    assert status.input == {"args": ("b",), "kwargs": {"count": 1}}
    assert status.output == {"texts": ["b"]}


def test_an_exception_that_the_format_cannot_hold_keeps_its_name_and_text(launch: Launch, sql: Bystander) -> None:
    @DBOS.step()
    def broken() -> None:
        raise LookupError("nobody is there")

    @DBOS.workflow()
    def work() -> None:
        broken()

    launch(serializer=JsonSerializer())
    with SetWorkflowID("w"), pytest.raises(LookupError):
        work()

    with pytest.raises(PortableWorkflowError, match="nobody is there") as caught:
        DBOS.retrieve_workflow("w").get_result()
    assert caught.value.name == "LookupError"


def test_a_result_that_the_format_cannot_hold_ends_the_workflow_in_an_error(launch: Launch) -> None:
    @DBOS.workflow()
    def work() -> set[int]:
        return {1}

    launch(serializer=JsonSerializer())
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        work()


def test_rows_name_the_format_and_who_lacks_it_is_told(launch: Launch, sql: Bystander, client: DBOSClient) -> None:
    @DBOS.workflow()
    def work(text: str) -> str:
        return text

    launch(serializer=NamedSerializer())
    with SetWorkflowID("w"):
        assert work("loud") == "loud"

    assert _stored(sql, "w")[0] == "shouting"
    sql.execute("UPDATE dbos.workflow_status SET serialization = 'whispering'")
    [status] = client.list_workflows()
    assert status.output == '"LOUD"', "a listing gives what it cannot read as it is stored"


@pytest.mark.parametrize(
    ("serializer", "serialization"), [(None, "py_pickle"), (DBOSPortableJSONSerializer(), "portable_json")]
)
def test_the_formats_of_the_product_are_there_too(
    launch: Launch, sql: Bystander, serializer: Any, serialization: str
) -> None:
    @DBOS.workflow()
    def work() -> list[int]:
        return [1]

    launch(serializer=serializer)
    with SetWorkflowID("w"):
        assert work() == [1]
    assert _stored(sql, "w")[0] == serialization


def test_runs_of_schedules_have_their_arguments_in_every_format_of_the_application(launch: Launch) -> None:
    @DBOS.workflow()
    def report(scheduled_time: datetime, context: Any) -> str:
        return f"{context['region']} at {scheduled_time.isoformat()}"

    launch(serializer=DBOSPortableJSONSerializer())
    DBOS.create_schedule(schedule_name="s", workflow_fn=report, schedule="0 2 * * *", context={"region": "eu"})
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)

    [run] = DBOS.backfill_schedule("s", start, end)
    assert run.get_result() == "eu at 2026-01-01T02:00:00+00:00"


@pytest.mark.parametrize(
    ("asked", "serialization"),
    [
        (WorkflowSerializationFormat.PORTABLE, "portable_json"),
        (WorkflowSerializationFormat.JSON, "portable_json"),
        (WorkflowSerializationFormat.NATIVE, "py_pickle"),
        (WorkflowSerializationFormat.DEFAULT, "custom_serializer"),
        (None, "custom_serializer"),
    ],
)
def test_a_workflow_can_ask_for_a_format_of_its_own(
    launch: Launch, sql: Bystander, asked: WorkflowSerializationFormat | None, serialization: str
) -> None:
    @DBOS.step()
    def step() -> int:
        return 1

    @DBOS.workflow(serialization_type=asked)
    def work() -> int:
        return step()

    launch(serializer=JsonSerializer())
    with SetWorkflowID("w"):
        assert work() == 1
    assert _stored(sql, "w")[0] == serialization
    row = sql.execute("SELECT serialization FROM dbos.operation_outputs").fetchone()
    assert row == {"serialization": "custom_serializer"}, "steps are the application's own affair"


def test_a_client_writes_what_the_application_reads(launch: Launch, database_url: str) -> None:
    @DBOS.workflow(name="work")
    def work(items: list[int]) -> int:
        return sum(items)

    launch(serializer=JsonSerializer())
    DBOS.register_queue("work")
    with DBOSClient(
        system_database_url=database_url, application_name=APPLICATION, serializer=JsonSerializer()
    ) as client:
        assert client.enqueue({"workflow_name": "work", "queue_name": "work"}, [1, 2]).get_result() == 3


@pytest.mark.parametrize("serializer", ["json", object(), JsonSerializer])
def test_what_is_no_serializer_is_refused(launch: Launch, serializer: Any) -> None:
    if serializer is JsonSerializer:
        serializer = type("Nameless", (JsonSerializer,), {"name": lambda self: " "})()
    with pytest.raises(DBOSInitializationError, match="serializer: expected"):
        launch(serializer=serializer)


def test_arguments_from_a_queue_are_validated_as_the_workflow_asks(launch: Launch) -> None:
    def positive(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args[0] <= 0:
            raise ValueError(f"expected a positive number, got {args[0]}")
        return (float(args[0]),), kwargs

    @DBOS.workflow(validate_args=positive)
    def work(number: float) -> str:
        return repr(number)

    launch()
    DBOS.register_queue("work")

    assert DBOS.enqueue_workflow("work", work, 2).get_result() == "2.0"
    handle = DBOS.enqueue_workflow("work", work, -1)
    with pytest.raises(ValueError, match="expected a positive number, got -1"):
        handle.get_result()
    assert handle.get_status().status == "ERROR"


def test_times_in_portable_arguments_are_times_again(launch: Launch, client: DBOSClient, sql: Bystander) -> None:
    @DBOS.workflow(name="work", serialization_type=WorkflowSerializationFormat.PORTABLE)
    def work(moment: datetime) -> str:
        return type(moment).__name__

    launch()
    DBOS.register_queue("work")
    moment = datetime(2026, 11, 21, tzinfo=UTC)

    with SetWorkflowID("w"):
        assert DBOS.enqueue_workflow("work", work, moment).get_result() == "datetime"
    assert json.loads(_stored(sql, "w")[1])["positionalArgs"] == ["2026-11-21T00:00:00.000Z"]
