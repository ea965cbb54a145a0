"""The scripts that create a schema, as they are sent to the server."""

from __future__ import annotations

import re

import pytest

from dbos.store.migrations.requirements import SCHEMA_VERSION
from dbos.store.migrations.runner import read_scripts


@pytest.mark.parametrize("schema", ["dbos", 'a "b"', "{schema}", "{body}", "$body$", "$body$ $body_$"])
def test_every_place_is_filled_and_no_name_ends_a_function_early(schema: str) -> None:
    text = "".join(read_scripts(schema, use_listen_notify=True))
    quoted = '"' + schema.replace('"', '""') + '"'
    assert f"CREATE TABLE {quoted}.workflow_status" in text
    assert not re.search(r"\{(schema|body)\}", text.replace(quoted, ""))
    tags = set(re.findall(r"\$body_*\$", text.replace(quoted, "")))
    assert len(tags) == 1
    assert tags.pop() not in schema


def test_the_trigger_is_left_out_without_notifications() -> None:
    with_trigger = read_scripts("dbos", use_listen_notify=True)
    without = read_scripts("dbos", use_listen_notify=False)
    assert [script for script in with_trigger if script not in without] == [
        script for script in with_trigger if "CREATE TRIGGER" in script
    ]
    assert "notifications_function" not in "".join(without)


def test_the_last_script_records_the_version_that_the_package_is_written_for() -> None:
    assert f"VALUES ({SCHEMA_VERSION})" in read_scripts("dbos", use_listen_notify=True)[-1]
