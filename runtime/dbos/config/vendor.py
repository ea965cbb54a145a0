"""What belongs to products of the vendor of DBOS, and is not offered here: accepted, and told of."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from dbos.config.refusal import refuse

logger = logging.getLogger("dbos")

VENDOR_KEYS = frozenset({
    "auto_upgrade", "auto_upgrade_grace_sec", "auto_upgrade_interval_sec", "conductor_executor_metadata",
    "conductor_key", "conductor_metadata_only_mode", "conductor_url", "sharding", "transact_enterprise_key",
})  # fmt: skip
"""Keys of a configuration that mean DBOS Conductor, automatic upgrades and sharding."""


def note_vendor_keys(config: Mapping[str, Any]) -> None:
    """Tell in one warning which keys do nothing here. Raises DBOSInitializationError for `sharding`.

    A program that connects to DBOS Conductor runs without it; sharded databases hold rows that others may not touch.
    """
    if config.get("sharding"):
        raise refuse("sharding", config["sharding"], expected="False: sharded system databases are not supported")
    given = sorted(key for key in VENDOR_KEYS if config.get(key))
    if given:
        logger.warning(
            "%s: of DBOS Conductor and dbos-enterprise, which this package does not offer, and ignored. Workflows of "
            "processes that died are taken over without them",
            ", ".join(given),
        )
