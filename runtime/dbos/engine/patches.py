"""Changes of a workflow's code: runs that began before a patch go on without it."""

from __future__ import annotations

from dbos._error import DBOSException
from dbos.core.ids import check_text
from dbos.engine.context import Execution, recording_execution
from dbos.engine.plan import Plan
from dbos.engine.services import Services, epoch_ms
from dbos.engine.steps import new_step, record_checkpoint
from dbos.store.rows import StepRecord

PREFIX = "DBOS.patch-"


def patch(services: Services, patch_name: str) -> Plan[bool]:
    """Whether this run takes the patched way: it does unless it was here before, without the patch.

    A run that does leaves a marker, a step without a result, so that each replay of it does too.
    """
    execution, name = _patched("DBOS.patch", patch_name)
    there = execution.checkpoints.get(execution.function_id + 1)
    if there is not None and there.function_name != name:
        return False
    function_id = execution.next_function_id()
    if there is None:
        marker: StepRecord = new_step(services, execution, name, function_id, completed_at_ms=epoch_ms())
        yield from record_checkpoint(execution, marker)
    return True


def deprecate_patch(patch_name: str) -> bool:
    """Step over the marker of a patch that every run takes; without one nothing happens."""
    execution, name = _patched("DBOS.deprecate_patch", patch_name)
    there = execution.checkpoints.get(execution.function_id + 1)
    if there is not None and there.function_name == name:
        execution.next_function_id()
    return True


def _patched(call: str, patch_name: str) -> tuple[Execution, str]:
    execution = recording_execution()
    if execution is None:
        raise DBOSException(f"{call} is for workflows, outside of their steps")
    return execution, PREFIX + check_text(patch_name, subject="patch name")
