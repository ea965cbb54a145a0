"""When checkpoints of transactions go: their workflow ended, was deleted, or begins anew from a step."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from dbos._error import DBOSException
from dbos.core.refusals import said_by
from dbos.engine.context import Execution
from dbos.store.checkpoint_removal import Janitor, known_databases

logger = logging.getLogger("dbos")

janitor = Janitor()
"""Removes the checkpoints of workflows that ended."""


def forget_checkpoints(execution: Execution) -> None:
    """Have the checkpoints of a workflow removed that has ended: its steps tell what they did."""
    for database in execution.databases:
        janitor.forget(database, execution.workflow_id)


def forget_left_behind(workflow_ids: Sequence[str]) -> None:
    """Remove what checkpoints deleted workflows left behind in the databases of this process. Blocks.

    Where that fails they stay, and do no harm.
    """
    for database in list(known_databases):
        try:
            for workflow_id in database.find_checkpoints(workflow_ids):
                janitor.forget(database, workflow_id)
        except Exception as error:  # noqa: BLE001 -- a database of the user may raise anything, and is asked again later
            logger.info("The checkpoints of deleted workflows' transactions stay: %s", error)


def forget_from(workflow_id: str, first_step: int) -> None:
    """Remove the checkpoints of a workflow from a step on, in every database of this process. Blocks.

    Raises DBOSException when that fails.
    """
    for database in list(known_databases):
        try:
            database.forget(workflow_id, first_step)
        except Exception as error:
            raise DBOSException(
                f"The checkpoints of workflow {workflow_id} cannot be removed: {said_by(error)}"
            ) from error
