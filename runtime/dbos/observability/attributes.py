"""What the attributes of our spans and log lines are called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dbos.config.observability import AttributeFormat
from dbos.engine.authorization import Authentication

SEMANTIC_NAMES = {
    "operationUUID": "dbos.operation.workflow_id",
    "operationType": "dbos.operation.type",
    "queueName": "dbos.queue.name",
    "authenticatedUser": "dbos.user.name",
    "authenticatedUserRoles": "dbos.user.roles",
    "authenticatedUserAssumedRole": "dbos.user.assumed_role",
    "applicationID": "dbos.application.id",
    "applicationVersion": "dbos.application.version",
    "executorID": "dbos.executor.id",
}
"""The attributes that are called otherwise in the format `semconv`; others keep their names."""


class AttributeNames:
    """The names of a format."""

    def __init__(self, chosen: AttributeFormat) -> None:
        self._names = SEMANTIC_NAMES if chosen is AttributeFormat.SEMCONV else {}

    def all(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes by the names of this format, given by those of the legacy one."""
        return {self._names.get(name, name): value for name, value in attributes.items()}


def user_attributes(user: Authentication) -> dict[str, str]:
    """The user that something runs for, by the names of the legacy format."""
    told = {"authenticatedUserRoles": "" if user.roles is None else json.dumps(list(user.roles))}
    if user.user is not None:
        told["authenticatedUser"] = user.user
    if user.assumed_role is not None:
        told["authenticatedUserAssumedRole"] = user.assumed_role
    return told
