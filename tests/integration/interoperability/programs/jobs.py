"""An application that both runtimes serve; which, and on what, comes from the environment."""

from __future__ import annotations

import asyncio
import os
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from board import count, note, wait_for_gate
from failures import RefusedError, UnpicklableError

from dbos import DBOS

DBOS(config={"name": os.environ["APP"], "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"]})


@DBOS.step()
def loud(text: str) -> str:
    """A step with a result."""
    return text.upper()


@DBOS.workflow(name="greet")
def greet(name: str, *, times: int = 1) -> str:
    """A result of a step."""
    return " ".join([loud(name)] * 1 + [name] * (times - 1))


@DBOS.workflow(name="echo")
def echo(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """What was given."""
    return {"args": list(args), "kwargs": kwargs}


@DBOS.step()
async def quiet(text: str) -> str:
    """A coroutine step."""
    await asyncio.sleep(0)
    return text.lower()


@DBOS.workflow(name="whisper")
async def whisper(*names: str) -> list[str]:
    """Steps side by side."""
    return list(await asyncio.gather(*(quiet(name) for name in names)))


@DBOS.workflow(name="refuse")
def refuse(reason: str) -> None:
    """An exception of the application."""
    raise RefusedError(reason)


@DBOS.workflow(name="misread")
def misread() -> None:
    """An exception of the language."""
    raise KeyError("nokey")


@DBOS.step(retries_allowed=True, max_attempts=2, interval_seconds=0.01)
def never() -> None:
    """A step that no attempt saves."""
    raise RefusedError("never")


@DBOS.workflow(name="exhaust")
def exhaust() -> None:
    """An exception of the runtime."""
    never()


@DBOS.workflow(name="jam")
def jam() -> None:
    """An exception that cannot be pickled."""
    raise UnpicklableError("it jams")


@DBOS.step()
def shout(text: str) -> str:
    """A step that tells each time it runs."""
    note(DBOS.workflow_id, "shouted")
    return text.upper()


@DBOS.step()
def enter(name: str) -> str:
    """A step that ends when its gate opens."""
    note(DBOS.workflow_id, "entered")
    wait_for_gate(name)
    return name


@DBOS.step()
def leave(name: str) -> str:
    """A step behind the gate."""
    note(DBOS.workflow_id, "left")
    return name


@DBOS.workflow(name="pass_gate")
def pass_gate(name: str) -> str:
    """A short step, one that waits for a gate, one behind it."""
    return ":".join([shout(name), enter(name), leave(name)])


@DBOS.workflow(name="hold")
def hold(name: str) -> int:
    """Each execution waits for a gate of its own; which one it was."""
    note(DBOS.workflow_id, "held")
    execution = count(DBOS.workflow_id, "held")
    wait_for_gate(f"{name}-{execution}")
    note(DBOS.workflow_id, f"ends {execution}")
    return execution


@DBOS.workflow(name="family")
def family(name: str) -> list[str]:
    """A child in the background, then one as a function call."""
    background = DBOS.start_workflow(pass_gate, name)
    seen = DBOS.retrieve_workflow(background.workflow_id).get_status()
    return [pass_gate(name), background.get_result(), seen.name]


@DBOS.workflow(name="exotic")
def exotic(day: date, when: datetime, *, plain: str) -> dict[str, Any]:
    """Values that portable JSON has a form for, though JSON has none."""
    told = [type(day).__name__, type(when).__name__, type(plain).__name__]
    return {"told": told, "when": when, "day": day, "much": Decimal("1.50"), "many": (1, 2), "ü": {3}}


@DBOS.workflow(name="unportable")
def unportable() -> object:
    """A value that portable JSON has no form for."""
    return object


@DBOS.workflow(name="sign")
def sign() -> str:
    """Who ran it."""
    note(DBOS.workflow_id, "signed")
    return os.environ["KIND"]
