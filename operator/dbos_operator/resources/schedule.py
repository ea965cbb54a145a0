"""DBOSSchedule: from its manifest to a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbos.core.cron import EXPECTED_TIME_ZONE, CronRule, InvalidCronError, UnknownTimeZoneError, parse_time_zone
from dbos_operator.errors import InvalidResourceError
from dbos_operator.reasons import Reason
from dbos_operator.resources.fields import Fields
from dbos_operator.resources.identity import Identity, Kind
from dbos_operator.resources.json_value import read_json
from dbos_operator.resources.manifest import parse_manifest, read_database_ref
from dbos_operator.resources.resource import Resource
from dbos_operator.resources.specs import ScheduleDeletion, ScheduleSpec

DEFAULT_TIME_ZONE = "UTC"
_ZONES_OF_A_MACHINE = frozenset({"localtime", "posixrules", "Factory"})
"""Files beside the zones: they mean what the image of the operator was made with."""


def parse_schedule(manifest: Mapping[str, Any]) -> Resource[ScheduleSpec]:
    """A DBOSSchedule with every default filled in, or with the problem that its spec has.

    Cron text and time zone are checked here first: the API server cannot.
    """
    return parse_manifest(Kind.SCHEDULE, manifest, _read_spec)


def _read_spec(identity: Identity, value: object) -> ScheduleSpec:
    fields = Fields(
        "spec",
        value,
        *("databaseRef", "scheduleName", "workflowName", "workflowClassName", "schedule", "timeZone"),
        *("context", "queueName", "suspend", "deletionPolicy"),
    )
    return ScheduleSpec(
        database=read_database_ref(fields, identity.key.namespace),
        schedule_name=fields.name("scheduleName") or identity.key.name,
        workflow_name=fields.must("workflowName", fields.name("workflowName"), "the name of the workflow to run"),
        workflow_class_name=fields.text("workflowClassName"),
        schedule=_read_cron(fields),
        time_zone=_read_time_zone(fields),
        has_time_zone=fields.has("timeZone"),
        context=read_json(fields.path_of("context"), fields.raw("context")),
        has_context=fields.mentions("context"),
        queue_name=fields.name("queueName"),
        suspend=fields.flag("suspend") or False,
        has_suspend=fields.has("suspend"),
        deletion_policy=fields.choice("deletionPolicy", ScheduleDeletion, ScheduleDeletion.PAUSE),
    )


def _read_cron(fields: Fields) -> str:
    text = fields.must("schedule", fields.raw("schedule"), 'a cron text such as "0 2 * * *"')
    if not isinstance(text, str):
        raise fields.wrong("schedule", expected="a cron text in quotes")
    try:
        CronRule.parse(text)
    except InvalidCronError as error:
        path = fields.path_of("schedule")
        raise InvalidResourceError(path, text, expected=error.expected, reason=Reason.INVALID_SCHEDULE) from error
    return text


def _read_time_zone(fields: Fields) -> str:
    name = fields.raw("timeZone")
    if name is None:
        return DEFAULT_TIME_ZONE
    if not isinstance(name, str):
        raise fields.wrong("timeZone", expected="the name of a time zone")
    path = fields.path_of("timeZone")
    if name in _ZONES_OF_A_MACHINE:
        raise InvalidResourceError(path, name, expected=EXPECTED_TIME_ZONE, reason=Reason.INVALID_TIME_ZONE)
    try:
        parse_time_zone(name)
    except UnknownTimeZoneError as error:
        raise InvalidResourceError(path, name, expected=error.expected, reason=Reason.INVALID_TIME_ZONE) from error
    return name
