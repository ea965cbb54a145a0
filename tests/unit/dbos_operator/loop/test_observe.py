"""What a look makes of pods that it cannot tell."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from dbos_operator.cluster.client import ApiSession
from dbos_operator.cluster.kubernetes_cluster import KubernetesCluster
from dbos_operator.cluster.protocol import Pod
from dbos_operator.loop.observe import observe_pods
from dbos_operator.resources.resource import Workload
from dbos_operator.resources.selector import Selector
from support.builders import WORKER


async def look(selector: Selector) -> Sequence[Pod] | None:
    """Look with no API server behind: whoever asks one fails otherwise than by an answer."""
    workload = Workload(target=WORKER, uid="u", replicas=3, ready_replicas=3, selector=selector)
    cluster = KubernetesCluster(cast("ApiSession", None))
    return (await observe_pods(cluster, [workload], asyncio.Semaphore(1)))[WORKER]


async def test_pods_of_a_selector_that_cannot_be_read_are_not_known() -> None:
    assert await look(Selector()) is None
