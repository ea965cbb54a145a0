"""Duties: what exactly one living process of an application does, such as sampling depths or deleting what is old.

    nobody holds it --hold_duty()--> held until a time --hold_duty() again--> held longer
                                          |  the time is over: its process is gone, or forgot it
                                          +--hold_duty() of another process--> held by that one

Times are the database's. Two processes never hold a duty at once, as long as each begins nothing that lasts
beyond what it was promised. The tables are there when `SystemDatabase.prepare_runtime_tables` said so.
"""

from __future__ import annotations

from dbos.store.operation import Operation, Statement


def hold_duty(*, system_schema: str, application: str, duty: str, holder: str, seconds: float) -> Operation[bool]:
    """Take a duty, or go on holding it, from now on for that many seconds; whether it is `holder`'s.

    `holder` names a process, not an executor ID, which several may share. One statement.
    """
    rows = yield Statement(
        "hold_duty",
        {
            "system_schema": system_schema,
            "application": application,
            "duty": duty,
            "holder": holder,
            "held_ms": int(seconds * 1000),
        },
    )
    return bool(rows)


def drop_duties(*, system_schema: str, application: str, holder: str) -> Operation[list[str]]:
    """Give up every duty of a process, so that another one need not wait; the names of those it held."""
    rows = yield Statement(
        "drop_duties", {"system_schema": system_schema, "application": application, "holder": holder}
    )
    return sorted(row["duty"] for row in rows)
