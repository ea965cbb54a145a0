"""When rows ask for something to be done."""

from __future__ import annotations

from dbos.store.operation import Operation, Statement


def load_next_moment(application: str, *, after_ms: int) -> Operation[int | None]:
    """When the next delay of an application is over, or the next deadline passed, in epoch ms; None: never."""
    [row] = yield Statement("load_next_moment", {"application": application, "after": after_ms})
    moment: int | None = row["moment"]
    return moment
