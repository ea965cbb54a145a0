"""The calls of the process node: patient, because a node outlives a restart of the API server."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from support.processnode.status import Manifest

AWAY = (aiohttp.ClientError, TimeoutError)
"""What a call raises while the API server is away, starting, or has forgotten the moment of a watch."""
_ANSWERED_NO = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
_MERGE_PATCH = "application/merge-patch+json"
_RETRY_SECONDS = 0.2
_WATCH_SECONDS = 300
_LONGEST_OBJECT = 4 * 1024 * 1024


class NodeApi:
    """What a node asks of the API server, about the pods of one namespace."""

    def __init__(self, session: aiohttp.ClientSession, namespace: str) -> None:
        self._session = session
        self._namespaced = f"/api/v1/namespaces/{namespace}"

    async def register(self, node: str) -> None:
        """Make the Node object, ready from the start."""
        condition = {"type": "Ready", "status": "True", "reason": "ProcessNode", "message": "pods are local processes"}
        resources = {"cpu": "64", "memory": "64Gi", "pods": "1000"}
        status = {"conditions": [condition], "capacity": resources, "allocatable": resources}
        await self._call("POST", "/api/v1/nodes", {"metadata": {"name": node}, "status": status})

    async def unregister(self, node: str) -> None:
        """Remove the Node object."""
        await self._call("DELETE", f"/api/v1/nodes/{node}")

    async def bind(self, pod: Manifest, node: str) -> None:
        """Put a pod on the node, as a scheduler does. A pod that is gone or bound already stays as it is."""
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        await self._call("POST", f"{self._path(pod)}/binding", {"metadata": _identity(pod), "target": target})

    async def read_data(self, kind: str, name: str) -> dict[str, bytes] | None:
        """The data of a Secret or ConfigMap, None when it is not there."""
        found = await self._call("GET", f"{self._namespaced}/{kind.lower()}s/{name}")
        if found is None:
            return None
        data: dict[str, str] = found.get("data") or {}
        return {key: base64.b64decode(value) if kind == "Secret" else value.encode() for key, value in data.items()}

    async def write_status(self, pod: Manifest, status: Mapping[str, Any]) -> None:
        """Patch the status of this very pod; one that is gone or replaced is left alone."""
        await self._call("PATCH", f"{self._path(pod)}/status", {"metadata": _identity(pod), "status": status})

    async def remove(self, pod: Manifest) -> None:
        """Say that nothing of the pod runs any more: its object goes at once."""
        preconditions = {"uid": pod["metadata"]["uid"]}
        await self._call("DELETE", self._path(pod), {"gracePeriodSeconds": 0, "preconditions": preconditions})

    async def list_pods(self) -> tuple[list[Manifest], str]:
        """Every pod of the namespace, and the moment from which a watch goes on."""
        listing = await self._call("GET", f"{self._namespaced}/pods")
        return listing["items"], listing["metadata"]["resourceVersion"]

    async def watch_pods(self, since: str) -> AsyncIterator[tuple[str, Manifest]]:
        """The changes of pods after a listing, until the watch ends and a new listing is due."""
        query = {"watch": "true", "resourceVersion": since, "timeoutSeconds": str(_WATCH_SECONDS)}
        no_limit = aiohttp.ClientTimeout(total=None)
        async with self._session.get(f"{self._namespaced}/pods", params=query, timeout=no_limit) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise aiohttp.ClientError(event["object"].get("message"))
                yield event["type"], event["object"]

    def _path(self, pod: Manifest) -> str:
        return f"{self._namespaced}/pods/{pod['metadata']['name']}"

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer, or None when the object is gone or another one. Asks again while the server is away."""
        headers = {"Content-Type": _MERGE_PATCH} if method == "PATCH" else {}
        while True:
            try:
                async with self._session.request(method, path, json=body, headers=headers) as answer:
                    if answer.status in _ANSWERED_NO:
                        return None
                    if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                        text = await answer.text()
                        assert answer.ok, f"{method} {path}: {text}"
                        return json.loads(text)
            except AWAY:
                pass  # refused or broken off: the server restarts
            await asyncio.sleep(_RETRY_SECONDS)


@asynccontextmanager
async def connect(kubeconfig: Path, namespace: str) -> AsyncIterator[NodeApi]:
    """The calls with the rights of a kubeconfig of the test control plane (a token and a certificate file)."""
    config = yaml.safe_load(await asyncio.to_thread(kubeconfig.read_text))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trusted = ssl.create_default_context(cafile=cluster["certificate-authority"])
    async with aiohttp.ClientSession(
        base_url=cluster["server"],
        headers={"Authorization": f"Bearer {user['token']}"},
        connector=aiohttp.TCPConnector(ssl=trusted),
        timeout=aiohttp.ClientTimeout(total=10),
        read_bufsize=_LONGEST_OBJECT,
    ) as session:
        yield NodeApi(session, namespace)


def _identity(pod: Manifest) -> dict[str, str]:
    return {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
