"""The verdict on a schema, from the facts of its catalogue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbos.store.migrations.inspection import SchemaFacts, SchemaKind, SchemaState, describe_problem, judge
from dbos.store.migrations.requirements import REQUIRED_COLUMNS, REQUIRED_UNIQUE_KEYS, SCHEMA_VERSION

WHOLE = SchemaFacts(
    schema_exists=True,
    tables=frozenset(REQUIRED_COLUMNS),
    columns=frozenset(f"{table}.{column}" for table, columns in REQUIRED_COLUMNS.items() for column in columns),
    unique_keys=frozenset(REQUIRED_UNIQUE_KEYS),
    version_readable=True,
    version=SCHEMA_VERSION,
)
ONLY_VERSIONS = SchemaFacts(
    schema_exists=True,
    tables=frozenset({"dbos_migrations"}),
    columns=frozenset({"dbos_migrations.version"}),
    version_readable=True,
)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (WHOLE, SchemaState(SchemaKind.SUPPORTED, 125)),
        (replace(WHOLE, version=126), SchemaState(SchemaKind.NEWER, 126)),
        (replace(WHOLE, version=124), SchemaState(SchemaKind.OLDER, 124)),
        (SchemaFacts(), SchemaState(SchemaKind.ABSENT)),
        (SchemaFacts(schema_exists=True), SchemaState(SchemaKind.ABSENT)),
        (ONLY_VERSIONS, SchemaState(SchemaKind.ABSENT)),
        (
            replace(WHOLE, columns=WHOLE.columns | {"workflow_status.shard_key"}),
            SchemaState(SchemaKind.SHARDED, 125),
        ),
        (
            replace(WHOLE, version=None, version_readable=False),
            SchemaState(SchemaKind.UNUSABLE, None, ("the right to read dbos_migrations",)),
        ),
        (
            replace(WHOLE, version=None),
            SchemaState(SchemaKind.UNUSABLE, None, ("the row of dbos_migrations that tells the version",)),
        ),
        (
            replace(WHOLE, version=126, columns=WHOLE.columns - {"queues.concurrency"}),
            SchemaState(SchemaKind.UNUSABLE, 126, ("column queues.concurrency",)),
        ),
        (
            replace(WHOLE, tables=WHOLE.tables - {"queues"}),
            SchemaState(SchemaKind.UNUSABLE, 125, ("table queues",)),
        ),
        (
            replace(WHOLE, unique_keys=WHOLE.unique_keys - {"queues(name)"}),
            SchemaState(SchemaKind.UNUSABLE, 125, ("unique index on queues(name)",)),
        ),
    ],
)
def test_the_facts_decide(facts: SchemaFacts, state: SchemaState) -> None:
    assert judge(facts) == state


def test_an_older_schema_is_older_even_though_it_lacks_what_came_later() -> None:
    facts = replace(WHOLE, version=108, tables=WHOLE.tables - {"workflow_input"})
    assert judge(facts).kind is SchemaKind.OLDER


def test_only_supported_and_newer_schemas_are_usable() -> None:
    usable = {kind for kind in SchemaKind if SchemaState(kind).usable}
    assert usable == {SchemaKind.SUPPORTED, SchemaKind.NEWER}


@pytest.mark.parametrize("kind", list(SchemaKind))
def test_every_state_has_a_sentence_that_names_the_schema(kind: SchemaKind) -> None:
    sentence = describe_problem(SchemaState(kind, 125, ("table queues",)), 'my "own"')
    assert '"my ""own"""' in sentence
    assert sentence.endswith(".")


def test_a_long_list_of_what_is_missing_is_cut() -> None:
    state = SchemaState(SchemaKind.UNUSABLE, 125, tuple(f"column queues.c{number}" for number in range(9)))
    sentence = describe_problem(state, "dbos")
    assert "queues.c5 and 3 more" in sentence
    assert "queues.c6" not in sentence
