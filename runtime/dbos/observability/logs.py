"""Where the runtime logs: the logger `dbos`, to standard error unless the application arranged otherwise."""

from __future__ import annotations

import logging


def configure_logging(level: str) -> None:
    """Set the level, and a plain handler when nobody else handles the logs."""
    logger = logging.getLogger("dbos")
    logger.setLevel(level)
    if not logger.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
