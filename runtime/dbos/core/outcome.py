"""What running a function gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """A value, or the exception that was raised."""

    value: Any = None
    error: Exception | None = None

    def unwrap(self) -> Any:
        """The value; raises the exception when there is one.

        Not for the errors of user code inside a generator: a StopIteration would not come out of it.
        """
        if self.error is not None:
            raise self.error
        return self.value
