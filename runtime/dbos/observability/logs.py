"""Where the runtime logs: the logger `dbos`, to standard error unless the application arranged otherwise."""

from __future__ import annotations

import logging

from dbos.config.observability import LogOptions

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class ConsoleHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes lines to standard error, or leaves them to the handlers of the root logger if there are any.

    So each line is there once, whether the application arranged its logging before DBOS, later or never.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """As logging.Handler."""
        others = logging.getLogger().handlers
        if not others:
            super().emit(record)
            return
        for handler in others:
            if record.levelno >= handler.level:
                handler.handle(record)


def configure_logging(options: LogOptions, *, sends: bool) -> None:
    """Set the levels, and a console handler unless the logger has handlers of the application's.

    With `sends` the logger lets through what is sent to a collector, even if the console does not show it.
    """
    logger = logging.getLogger("dbos")
    levels = [options.console_level, *([options.otlp_level] if sends else [])]
    logger.setLevel(min(levels, key=logging.getLevelNamesMapping().__getitem__))
    ours = [handler for handler in logger.handlers if isinstance(handler, ConsoleHandler)]
    if not ours and logger.handlers:
        return
    console = ours[0] if ours else ConsoleHandler()
    console.setLevel(options.console_level)
    if not ours:
        console.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(console)
        logger.propagate = False  # the console handler hands on what it does not write itself
