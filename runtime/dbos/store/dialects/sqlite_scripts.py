"""Statements of the catalogue that change several tables at once, as several statements for SQLite.

PostgreSQL performs each as one statement with WITH; here a transaction that holds the write lock takes
that place, so the guarantees are the same: all or nothing, and nobody in between.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from dbos.store.operation import Operation, Row, Statement

Parameters = Mapping[str, Any]
Script = Callable[[Parameters], Operation[list[Row]]]


def _insert_workflow(parameters: Parameters) -> Operation[list[Row]]:
    attributes = parameters["attributes"]
    record = {**parameters, "attributes": None if attributes is None else json.loads(attributes)}
    return (yield from _insert([record]))


def _insert_workflows(parameters: Parameters) -> Operation[list[Row]]:
    return (yield from _insert(json.loads(parameters["records"])))


def _insert_children(parameters: Parameters) -> Operation[list[Row]]:
    records = json.loads(parameters["records"])
    parents = yield Statement("load_parents", {"parents": parameters["parents"]})
    owners = {row["workflow_uuid"]: row["owner_xid"] for row in parents}
    allowed = [record for record in records if owners.get(record["parent_workflow_id"]) == record["parent_owner"]]
    inserted = yield from _insert(allowed)
    creators = [row["creator_xid"] for row in inserted]
    if creators:
        yield Statement("insert_parent_steps", {"records": json.dumps(allowed), "creators": creators})
    return [
        {"creator_xid": record["creator_xid"], "created": record["creator_xid"] in creators, "allowed": True}
        for record in allowed
    ]


def _insert(records: list[dict[str, Any]]) -> Operation[list[Row]]:
    if not records:
        return []
    text = json.dumps(records)
    rows = yield Statement("insert_rows", {"records": text})
    creators = [row["creator_xid"] for row in rows]
    if creators:
        yield Statement("insert_inputs", {"records": text, "creators": creators})
    return [{"creator_xid": creator, "created": True, "allowed": True} for creator in creators]


def _record_steps(parameters: Parameters) -> Operation[list[Row]]:
    records = {"records": parameters["records"]}
    rows = yield Statement("insert_owned_steps", records)
    written = {(row["workflow_uuid"], row["function_id"]) for row in rows}
    ownership = yield Statement("load_ownership", records)
    return [{**row, "written": (row["workflow_uuid"], row["function_id"]) in written} for row in ownership]


def _record_outcomes(parameters: Parameters) -> Operation[list[Row]]:
    rows = yield Statement("end_workflows", {"records": parameters["records"]})
    ids = [row["workflow_uuid"] for row in rows]
    if ids:
        yield Statement("insert_outputs", {"records": parameters["records"], "ids": ids})
    return rows


def _claim_workflows(parameters: Parameters) -> Operation[list[Row]]:
    return (yield from _take(parameters, (yield Statement("load_claimable", parameters))))


def _take(parameters: Parameters, before: list[Row]) -> Operation[list[Row]]:
    if not before:
        return []
    ids = {row["workflow_uuid"]: row for row in before}
    yield Statement("take_workflows", {**parameters, "ids": list(ids)})
    rows = yield Statement("load_claimed", {"ids": list(ids)})
    claimed = {row["workflow_uuid"]: row for row in rows}
    return [{**claimed[workflow_id], **previous} for workflow_id, previous in ids.items()]


def _claim_workflows_shared(parameters: Parameters) -> Operation[list[Row]]:
    [budget] = yield Statement("load_shared_budget", parameters)
    bounds = [parameters["limit"], *(bound for bound in (budget["slots"], budget["starts"]) if bound is not None)]
    if min(bounds) <= 0:
        return []
    return (yield from _claim_workflows({**parameters, "limit": min(bounds)}))


def _claim_partitions(parameters: Parameters) -> Operation[list[Row]]:
    return (yield from _claim_lanes(parameters, parameters["limit"], shared=False))


def _claim_partitions_shared(parameters: Parameters) -> Operation[list[Row]]:
    [budget] = yield Statement("load_shared_budget", parameters)
    bounds = [parameters["limit"], *(bound for bound in (budget["slots"], budget["starts"]) if bound is not None)]
    return (yield from _claim_lanes(parameters, min(bounds), shared=True))


def _claim_lanes(parameters: Parameters, limit: int, *, shared: bool) -> Operation[list[Row]]:
    before: list[Row] = []
    for key, slots in zip(parameters["keys"], parameters["slots"], strict=True):
        bounds = [slots, limit - len(before)]
        if shared:
            [budget] = yield Statement("load_lane_budget", {**parameters, "key": key})
            bounds += [bound for bound in (budget["slots"], budget["starts"]) if bound is not None]
        if min(bounds) > 0:
            before += yield Statement("load_lane", {**parameters, "key": key, "limit": min(bounds)})
        if len(before) >= limit:
            break
    return (yield from _take(parameters, before))


def _release_workflows(parameters: Parameters) -> Operation[list[Row]]:
    released: list[Row] = []
    for record in json.loads(parameters["records"]):
        released += yield Statement("release_workflow", record)
    return released


def _sweep_due_rows(parameters: Parameters) -> Operation[list[Row]]:
    cancelled = yield Statement("cancel_expired", parameters)
    woken = yield Statement("wake_delayed", parameters)
    queues = sorted({row["queue_name"] for row in woken if row["queue_name"] is not None})
    return [{"cancelled": [row["workflow_uuid"] for row in cancelled], "woken": len(woken), "queues": queues}]


def _enqueue_runs(parameters: Parameters) -> Operation[list[Row]]:
    rows = yield Statement("insert_runs", parameters)
    ids = [row["workflow_uuid"] for row in rows]
    if ids:
        yield Statement("insert_run_inputs", {**parameters, "ids": ids})
        yield Statement("note_fired", {**parameters, "ids": ids})
    return rows


def _note_heartbeat(parameters: Parameters) -> Operation[list[Row]]:
    [noted] = yield Statement("write_heartbeat", parameters)
    return (yield Statement("list_suspects", {**parameters, **noted}))


def _take_over(parameters: Parameters) -> Operation[list[Row]]:
    processes = [row["process_token"] for row in (yield Statement("mark_gone", parameters))]
    lost = yield Statement("list_left_behind", {**parameters, "processes": processes})
    if lost:
        yield Statement("recover_chosen", {**parameters, "ids": [row["workflow_uuid"] for row in lost]})
    left_nothing = set(processes) - {row["process_token"] for row in lost}
    nothing = [{"process_token": each, "workflow_uuid": None, "queue_name": None} for each in sorted(left_nothing)]
    return [*lost, *nothing]


SCRIPTS: Mapping[str, Script] = {
    "enqueue_runs": _enqueue_runs,
    "insert_workflow": _insert_workflow,
    "insert_workflows": _insert_workflows,
    "insert_children": _insert_children,
    "record_steps": _record_steps,
    "record_outcomes": _record_outcomes,
    "claim_workflows": _claim_workflows,
    "claim_workflows_shared": _claim_workflows_shared,
    "claim_partitions": _claim_partitions,
    "claim_partitions_shared": _claim_partitions_shared,
    "release_workflows": _release_workflows,
    "sweep_due_rows": _sweep_due_rows,
    "note_heartbeat": _note_heartbeat,
    "take_over": _take_over,
}

LOOKED_AT_FIRST: Mapping[str, tuple[str, list[Row]]] = {
    "claim_workflows": ("load_claimable", []),
    "claim_workflows_shared": ("load_claimable", []),
    "claim_partitions": ("load_claimable", []),
    "claim_partitions_shared": ("load_claimable", []),
    "sweep_due_rows": ("anything_due", [{"cancelled": [], "woken": 0, "queues": []}]),
}
"""What to read before the write lock is taken, and the answer when it finds nothing."""
