"""EnqueueOptions as the workflow that they describe, and enqueues by them in the application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dbos._serialization import WorkflowSerializationFormat
from dbos.api.calls import EngineStatuses
from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
from dbos.api.options import EnqueueOptions, check_attributes, check_policy, check_priority, check_reuse, check_seconds
from dbos.api.runtime import engine
from dbos.api.tracing import carrier_of
from dbos.core.deduplication import check_duplication
from dbos.core.ids import WorkflowId, check_name, check_text
from dbos.core.refusals import InvalidArgumentError
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.authorization import Authentication
from dbos.engine.commands import enqueue_described
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.places import check_format
from dbos.engine.services import epoch_ms
from dbos.engine.tracing import add_carrier, trace_carrier
from dbos.engine.uuids import new_uuid, new_workflow_id
from dbos.serialization.encoding import PORTABLE_JSON, PY_PICKLE, encode_inputs
from dbos.store.rows import NewWorkflow

KNOWN = frozenset(EnqueueOptions.__annotations__)
FORMATS = {WorkflowSerializationFormat.PORTABLE: PORTABLE_JSON, WorkflowSerializationFormat.NATIVE: PY_PICKLE}
"""The formats that do not depend on the application."""


def new_record(
    options: EnqueueOptions,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    serialization: str,
    application: str | None,
) -> NewWorkflow:
    """What an enqueue stores. Raises TypeError or ValueError naming an option."""
    check_enqueue(options)
    delay = check_seconds(options.get("delay_seconds"), subject="delay_seconds")
    timeout = options.get("workflow_timeout")
    serialization = FORMATS.get(check_format(options.get("serialization_type")), serialization)
    return NewWorkflow(
        workflow_id=WorkflowId(options.get("workflow_id") or new_workflow_id()),
        status=WorkflowStatusString.ENQUEUED if delay is None else WorkflowStatusString.DELAYED,
        name=options["workflow_name"],
        creator=new_uuid(),
        inputs=encode_inputs(args, kwargs, serialization),
        serialization=serialization,
        class_name=options.get("class_name"),
        config_name=options.get("instance_name"),
        queue_name=options["queue_name"],
        application_name=options.get("application_name") or application,
        application_version=options.get("app_version"),
        timeout_ms=None if timeout is None else int(timeout * 1000),
        delay_until_ms=None if delay is None else epoch_ms() + int(delay * 1000),
        deduplication_id=options.get("deduplication_id"),
        priority=check_priority(options.get("priority")) or 0,
        partition_key=options.get("queue_partition_key"),
        authenticated_user=options.get("authenticated_user"),
        authenticated_roles=Authentication(roles=_roles(options.get("authenticated_roles"))).stored_roles,
        attributes=_attributes(options),
        reuse=check_reuse(options.get("workflow_id_reuse_policy")),
    )


def new_records(
    options: EnqueueOptions,
    calls: Sequence[tuple[Any, ...]],
    workflow_ids: Sequence[str] | None,
    serialization: str,
    application: str | None,
) -> list[NewWorkflow]:
    """What an enqueue of many stores: one for each of `calls`, positional arguments. Raises as new_record does."""
    if not calls:
        check_enqueue(options)
        return []
    for workflow_id in workflow_ids or ():
        check_text(workflow_id, subject="workflow_id")
    own = options if workflow_ids is None else EnqueueOptions({**options, "workflow_id": workflow_ids[0]})
    first = new_record(own, calls[0], {}, serialization, application)
    ids = [new_workflow_id() for _ in calls[1:]] if workflow_ids is None else workflow_ids[1:]
    shared = {field.name: getattr(first, field.name) for field in fields(first)}  # once: replace() does it each time
    others = [
        NewWorkflow(
            **{
                **shared,
                "workflow_id": WorkflowId(workflow_id),
                "creator": new_uuid(),
                "inputs": encode_inputs(args, {}, first.serialization),
            }
        )
        for workflow_id, args in zip(ids, calls[1:], strict=True)
    ]
    return [first, *others]


def policy_of(options: EnqueueOptions) -> str:
    """What a client does about a duplicate. Raises InvalidArgumentError where there can be none."""
    return check_duplication(options.get("duplication_policy"), options.get("deduplication_id"))


def enqueue_options_call(options: EnqueueOptions, args: tuple[Any, ...], kwargs: dict[str, Any]) -> WorkflowHandle[Any]:
    """Enqueue by options, in the application."""
    running = engine()
    services = running.services
    record = new_record(options, args, kwargs, services.serialization, services.claimant.application)
    policy, given_id = options.get("duplication_policy"), options.get("workflow_id")
    workflow_id = run_blocking(enqueue_described(services, record, policy=policy, given_id=given_id), services)
    return WorkflowHandle(workflow_id, services, EngineStatuses(running))


async def enqueue_options_call_async(
    options: EnqueueOptions, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> WorkflowHandleAsync[Any]:
    """As enqueue_options_call."""
    running = engine()
    services = running.services
    record = new_record(options, args, kwargs, services.serialization, services.claimant.application)
    policy, given_id = options.get("duplication_policy"), options.get("workflow_id")
    workflow_id = await run_on_loop(enqueue_described(services, record, policy=policy, given_id=given_id), services)
    return WorkflowHandleAsync(workflow_id, services, EngineStatuses(running))


def _attributes(options: EnqueueOptions) -> Any:
    attributes, context = check_attributes(options.get("attributes")), options.get("otel_context")
    return add_carrier(attributes, trace_carrier.get() if context is None else carrier_of(context))


def _roles(roles: object) -> tuple[str, ...] | None:
    if roles is None:
        return None
    if isinstance(roles, str) or not isinstance(roles, Sequence):
        raise TypeError(f"authenticated_roles: expected a list of names, got {roles!r}")
    return tuple(check_text(role, subject="authenticated_roles") for role in roles)


def check_enqueue(options: EnqueueOptions) -> None:
    """Raise TypeError or ValueError naming an option that cannot be."""
    if not isinstance(options, Mapping):
        raise TypeError(f"EnqueueOptions: expected a dictionary of options, got {options!r}")
    for required in ("workflow_name", "queue_name"):
        value = options.get(required)
        if not isinstance(value, str) or not value.strip():
            raise InvalidArgumentError(f"EnqueueOptions: expected text for {required!r}, got {value!r}")
    unknown = sorted(set(options) - KNOWN)
    if unknown:
        raise TypeError(f"EnqueueOptions: unknown {', '.join(unknown)}; known are {', '.join(sorted(KNOWN))}")
    check_name(options["queue_name"], subject="queue_name")
    check_policy(options.get("duplication_policy"))
    for name in (
        "workflow_name",
        "workflow_id",
        "app_version",
        "deduplication_id",
        "class_name",
        "instance_name",
        "queue_partition_key",
        "authenticated_user",
        "application_name",
    ):
        if options.get(name) is not None:
            check_text(options.get(name), subject=name)
    if check_seconds(options.get("workflow_timeout"), subject="workflow_timeout") == 0:
        raise InvalidArgumentError("workflow_timeout: expected more than 0 seconds, got 0")
