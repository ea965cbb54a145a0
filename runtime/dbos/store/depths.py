"""How much waits and runs on each queue, and what waits there that nobody can take."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from dbos.core.dispatch import RESERVED_PREFIX
from dbos.core.ids import INTERNAL_QUEUE
from dbos.store.operation import Operation, Statement

BOUND = 100_000
"""Where counting the workflows of a queue in one state stops."""
TOTAL_BOUND = 500_000
LEAST_BOUND = 1000
"""With many queues each has its share of the total, and at least this."""
STUCK_BOUND = 10_000
"""Of how many workflows of a queue it is looked whether somebody can take them: more is in their rows than in the
index."""
MOST_QUEUES = 1000
MOST_PRIORITIES = 100
MOST_REFUSED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """The workflows of a queue that are not finished, of one application and of nobody."""

    name: str
    registered: bool
    """Whether processes of the application take work from it."""
    enqueued: int
    pending: int
    delayed: int
    oldest_ms: int | None = None
    """When the oldest one that is ENQUEUED was created."""
    keyless: int = 0
    """Of the enqueued those that have no partition key, on a queue whose limits are for partitions."""
    refused: int = 0
    """Of the enqueued those whose function processes of the application refused lately."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A queue that has a row. Without an application everybody serves it."""

    application: str | None
    partitioned: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What tells which workflows nobody can take."""

    queues: dict[str, Registered] = field(default_factory=dict)
    refused: frozenset[tuple[str, str]] = frozenset()
    """Applications, and keys of functions that their processes refused lately."""


def load_registered(queues: Collection[str]) -> Operation[dict[str, Registered]]:
    """Those of these queues that have a row, by name."""
    rows = yield Statement("load_registered", {"names": sorted(queues)})
    return {row["name"]: Registered(row["application_name"], bool(row["partitioned"])) for row in rows}


def find_refusals() -> Operation[bool]:
    """Whether the database has a table of what processes refused, which this role may read."""
    [found] = yield Statement("find_refusals")
    return bool(found["there"])


def load_refused(system_schema: str) -> Operation[frozenset[tuple[str, str]]]:
    """Applications, and keys of functions that their processes refused lately."""
    rows = yield Statement("load_refused", {"system_schema": system_schema, "most": MOST_REFUSED})
    return frozenset((row["application"], row["function_key"]) for row in rows)


def load_depths(
    application: str | None, *, system_schema: str, refusals: bool | None, served: Sequence[str] = (INTERNAL_QUEUE,)
) -> Operation[list[QueueDepth]]:
    """The queues of an application, also those that nobody registered, if something is on them; by name.

    None stands for all applications. `refusals` tells whether the database has a table of what processes refused;
    None: it is looked for.
    `served` are queues that have no row and are served. Every count has a bound, and so has what is looked at.
    """
    busy = yield Statement("list_busy_queues", {"most": MOST_QUEUES})
    own = yield Statement("list_served_queues", {"application": application})
    registered = {row["name"] for row in own} | set(served)
    names = sorted(registered | {row["queue_name"] for row in busy})
    queues = yield from load_registered(names)
    if refusals is None:
        refusals = yield from find_refusals()
    refused = (yield from load_refused(system_schema)) if refusals else frozenset()
    facts = Facts(queues, refused)
    bound = max(LEAST_BOUND, min(BOUND, TOTAL_BOUND // max(1, len(names))))
    delayed_rows = yield Statement("count_delayed", {"application": application, "bound": BOUND})
    delayed = {row["name"]: row["delayed"] for row in delayed_rows}
    names = sorted({*names, *delayed})
    given = {
        "application": application,
        "queues": json.dumps([{"name": name} for name in names]),
        "bound": bound,
        "levels": MOST_PRIORITIES,
    }
    counted = yield Statement("load_depths", given)
    stuck = yield from _count_stuck(application, names, facts)
    depths = [
        QueueDepth(
            name=row["name"],
            registered=row["name"] in registered or row["name"].startswith(RESERVED_PREFIX),
            enqueued=row["enqueued"],
            pending=row["pending"],
            delayed=delayed.get(row["name"], 0),
            oldest_ms=row["oldest_ms"],
            keyless=stuck.get(row["name"], (0, 0))[0],
            refused=stuck.get(row["name"], (0, 0))[1],
        )
        for row in counted
    ]
    found = [each for each in depths if each.registered or each.enqueued or each.pending or each.delayed]
    return sorted(found, key=lambda each: each.name)


def _count_stuck(application: str | None, names: Sequence[str], facts: Facts) -> Operation[dict[str, tuple[int, int]]]:
    """Of each queue how many workflows have no partition key where they need one, and a function that is refused."""
    refused = sorted({key for owner, key in facts.refused if application in {None, owner}})
    partitioned = {name for name, queue in facts.queues.items() if queue.partitioned}
    chosen = names if refused else sorted(partitioned)
    if not chosen:
        return {}
    queues = [{"name": name, "partitioned": "yes" if name in partitioned else "no"} for name in chosen]
    rows = yield Statement(
        "count_stuck",
        {"application": application, "queues": json.dumps(queues), "refused": refused, "bound": STUCK_BOUND},
    )
    return {row["name"]: (row["keyless"], row["refused"]) for row in rows}


def record_refusals(
    functions: Collection[str], *, system_schema: str, application: str, process: str, seconds: float
) -> Operation[None]:
    """Tell everybody, for some seconds, that a process has no such functions; keys as ClaimedWorkflow has them."""
    yield Statement(
        "record_refusals",
        {
            "system_schema": system_schema,
            "application": application,
            "process": process,
            "functions": json.dumps([{"function_key": key} for key in sorted(functions)]),
            "held_ms": int(seconds * 1000),
        },
    )


def forget_refusals(*, system_schema: str, application: str, process: str) -> Operation[None]:
    """Take back what a process that ends refused; what others refused long ago goes too."""
    yield Statement("forget_refusals", {"system_schema": system_schema, "application": application, "process": process})
