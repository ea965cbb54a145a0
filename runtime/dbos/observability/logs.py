"""Where the runtime logs: the logger `dbos`, to standard error unless the application arranged otherwise."""

from __future__ import annotations

import logging

from dbos.config.observability import LogOptions

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class ConsoleHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes lines to standard error while the root logger has no handlers: those write them too.

    So each line is there once, whether the application arranged its logging before DBOS, later or never.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """As logging.Handler."""
        if not logging.getLogger().handlers:
            super().emit(record)


class Gate(logging.Filter):
    """Lets through to handlers what the console shall show, after it handed each line to whoever sends them."""

    def __init__(self) -> None:
        super().__init__()
        self.level = logging.NOTSET
        self.sender: logging.Handler | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """As logging.Filter."""
        sender = self.sender
        if sender is not None and record.levelno >= sender.level:
            sender.handle(record)
        return record.levelno >= self.level


gate = Gate()
"""The gate of the logger `dbos`: a process has one such logger."""


def configure_logging(options: LogOptions, *, sends: bool) -> None:
    """Set the levels, and a console handler unless the logger has handlers of the application's.

    With `sends` the logger takes what is sent to a collector, even if the console does not show it.
    """
    logger = logging.getLogger("dbos")
    levels = logging.getLevelNamesMapping()
    gate.level = levels[options.console_level]
    logger.setLevel(min(gate.level, levels[options.otlp_level]) if sends else gate.level)
    logger.addFilter(gate)
    if not logger.handlers:
        console = ConsoleHandler()
        console.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(console)
