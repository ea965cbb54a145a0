"""`dbos workflow`: look at workflows and manage them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import click

from dbos._sys_db import WorkflowStatus
from dbos.api.client import DBOSClient
from dbos.api.options import SetWorkflowID
from dbos.api.statuses import ListOptions
from dbos.cli.database import connected, database_options
from dbos.cli.output import output_option, show, show_list
from dbos.core.statuses import WorkflowStatusString

_FIELDS = (
    "workflow_id", "status", "name", "recovery_attempts", "config_name", "class_name", "authenticated_user",
    "authenticated_roles", "assumed_role", "queue_name", "executor_id", "created_at", "updated_at", "app_version",
    "app_id", "workflow_deadline_epoch_ms", "workflow_timeout_ms", "deduplication_id", "priority",
    "queue_partition_key", "forked_from", "parent_workflow_id", "dequeued_at", "delay_until_epoch_ms",
    "was_forked_from", "completed_at", "attributes", "schedule_name", "application_name", "undispatchable", "input",
    "output", "error",
)  # fmt: skip
_COLUMNS = ("workflow_id", "status", "name", "queue_name", "created_at", "completed_at")
_QUEUED_COLUMNS = ("workflow_id", "status", "name", "queue_name", "created_at", "undispatchable")
_STEP_COLUMNS = ("function_id", "function_name", "output", "error", "child_workflow_id", "completed_at_epoch_ms")


@click.group()
def workflow() -> None:
    """Look at workflows and manage them."""


def filter_options(command: Any) -> Any:
    """The filters that both listings take."""
    statuses = click.Choice([status.value for status in WorkflowStatusString], case_sensitive=False)
    for option in (
        click.option("-o", "--offset", type=click.IntRange(min=0), help="Leave out that many."),
        click.option("-d", "--sort-desc", is_flag=True, help="The newest first."),
        click.option("-a", "--application-name", help="Of this application, and of nobody."),
        click.option("-q", "--queue-name", help="On this queue."),
        click.option("-n", "--name", help="Of this workflow name."),
        click.option("-S", "--status", type=statuses, help="In this status."),
        click.option("-e", "--end-time", help="Created before this time (ISO 8601)."),
        click.option("-t", "--start-time", help="Created after this time (ISO 8601)."),
    ):
        command = option(command)
    return command


@workflow.command("list")
@database_options
@click.option("--undispatchable", is_flag=True, default=None, help="Only what waits and nobody can take.")
@click.option("-l", "--limit", type=click.IntRange(min=1), default=10, show_default=True, help="At most that many.")
@click.option("-u", "--user", help="Run by this user.")
@click.option("-v", "--application-version", help="Of this application version.")
@filter_options
@output_option
def list_workflows(
    db_url: str | None, schema: str | None, output: str | None, application_version: str | None, **filters: Any
) -> None:
    """List workflows, the oldest first."""
    options: ListOptions = {**_given(filters), "app_version": application_version}  # type: ignore[typeddict-item]
    with connected(db_url, schema) as client:
        found = client.list_workflows(**options)
    columns = _QUEUED_COLUMNS if options.get("undispatchable") else _COLUMNS
    show_list([fields_of(each) for each in found], output, columns)


@workflow.group("queue")
def queued() -> None:
    """Look at workflows on queues."""


@queued.command("list")
@database_options
@click.option("--undispatchable", is_flag=True, default=None, help="Only what waits and nobody can take.")
@click.option("-l", "--limit", type=click.IntRange(min=1), help="At most that many.")
@filter_options
@output_option
def list_queued(db_url: str | None, schema: str | None, output: str | None, **filters: Any) -> None:
    """List the workflows on queues that wait or run, the oldest first."""
    options: ListOptions = _given(filters)  # type: ignore[assignment]
    with connected(db_url, schema) as client:
        found = client.list_queued_workflows(**options)
    show_list([fields_of(each) for each in found], output, _QUEUED_COLUMNS)


@workflow.command()
@click.argument("workflow_id")
@database_options
@output_option
def get(workflow_id: str, db_url: str | None, schema: str | None, output: str | None) -> None:
    """Show a workflow."""
    with connected(db_url, schema) as client:
        show(_status(client, workflow_id), output)


@workflow.command()
@click.argument("workflow_id")
@database_options
@output_option
def steps(workflow_id: str, db_url: str | None, schema: str | None, output: str | None) -> None:
    """List the steps that a workflow has recorded."""
    with connected(db_url, schema) as client:
        client.retrieve_workflow(workflow_id)
        found = client.list_workflow_steps(workflow_id)
    show_list([dict(step) for step in found], output, _STEP_COLUMNS)


@workflow.command()
@click.argument("workflow_ids", metavar="WORKFLOW_ID...", nargs=-1, required=True)
@click.option("--cancel-children", is_flag=True, help="Cancel all that they started too.")
@database_options
def cancel(workflow_ids: tuple[str, ...], cancel_children: bool, db_url: str | None, schema: str | None) -> None:
    """Cancel workflows that wait or run."""
    with connected(db_url, schema) as client:
        for workflow_id in workflow_ids:
            client.retrieve_workflow(workflow_id)
        client.cancel_workflows(list(workflow_ids), cancel_children=cancel_children)
        _tell(client, workflow_ids)


@workflow.command()
@click.argument("workflow_ids", metavar="WORKFLOW_ID...", nargs=-1, required=True)
@click.option("--queue", "queue_name", help="Run them on this queue, not at once.")
@database_options
def resume(workflow_ids: tuple[str, ...], queue_name: str | None, db_url: str | None, schema: str | None) -> None:
    """Run workflows on that were cancelled or given up, from their last step."""
    with connected(db_url, schema) as client:
        client.resume_workflows(list(workflow_ids), queue_name=queue_name)
        _tell(client, workflow_ids)


@workflow.command()
@click.argument("workflow_id")
@click.option("-S", "--step", type=click.IntRange(min=0), default=1, show_default=True, help="Start at this step.")
@click.option("-f", "--forked-workflow-id", help="ID of the copy. Default: a new one.")
@click.option("-v", "--application-version", help="Version that runs the copy. Default: the latest.")
@click.option("--queue", "queue_name", help="Run it on this queue, not at once.")
@database_options
@output_option
def fork(  # noqa: PLR0913 -- a parameter for each option
    workflow_id: str,
    *,
    step: int,
    forked_workflow_id: str | None,
    application_version: str | None,
    queue_name: str | None,
    db_url: str | None,
    schema: str | None,
    output: str | None,
) -> None:
    """Run a copy of a workflow, from a step on; what came before is taken over."""
    with (
        connected(db_url, schema) as client,
        SetWorkflowID(forked_workflow_id) if forked_workflow_id else nullcontext(),
    ):
        copy = client.fork_workflow(workflow_id, step, application_version=application_version, queue_name=queue_name)
        show(_status(client, copy.workflow_id), output)


def fields_of(status: WorkflowStatus) -> dict[str, Any]:
    """A workflow as it is printed."""
    return {name: getattr(status, name) for name in _FIELDS}


def _status(client: DBOSClient, workflow_id: str) -> dict[str, Any]:
    return fields_of(client.retrieve_workflow(workflow_id).get_status())


def _tell(client: DBOSClient, workflow_ids: tuple[str, ...]) -> None:
    """Say on the error stream what became of them: one that ended in a result keeps it."""
    for workflow_id in workflow_ids:
        click.echo(f"{workflow_id} {client.retrieve_workflow(workflow_id).get_status().status}", err=True)


def _given(filters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value is not None}
