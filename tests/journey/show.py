"""What the person who waits sees: each act with its time, and a table at the end."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Done:
    """One act that is over."""

    title: str
    seconds: float
    passed: bool


@dataclass
class Show:
    """Prints acts as they begin, what is observed in them, and how they ended."""

    total: int
    done: list[Done] = field(default_factory=list)
    _began: float = 0.0

    def begin(self, title: str) -> None:
        """An act begins."""
        self._began = time.monotonic()
        self._say(f"\n==> [{len(self.done) + 1}/{self.total}] {title}")

    def note(self, text: str) -> None:
        """Something was observed."""
        self._say(f"{time.monotonic() - self._began:7.1f} s  {text}")

    def end(self, title: str, *, passed: bool) -> None:
        """The act is over."""
        seconds = time.monotonic() - self._began
        self.done.append(Done(title, seconds, passed))
        self._say(f"{seconds:7.1f} s  {'passed' if passed else 'FAILED'}")

    def tell(self, text: str) -> None:
        """Something that is no part of an act."""
        self._say(text)

    @property
    def all_passed(self) -> bool:
        """Whether every act was done, and well."""
        return len(self.done) == self.total and all(each.passed for each in self.done)

    def summary(self) -> None:
        """All acts with their times."""
        self._say("\n    seconds  result  act")
        for number, each in enumerate(self.done, start=1):
            self._say(f"    {each.seconds:7.1f}  {'passed' if each.passed else 'FAILED'}  {number:2} {each.title}")
        missing = self.total - len(self.done)
        verdict = "everything was seen" if self.all_passed else f"it ended early, {missing} acts were not begun"
        self._say(f"    {sum(each.seconds for each in self.done):7.1f}  {verdict}")

    @staticmethod
    def _say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)
