"""Clients that die with their process: after so many requests none of them ever hears an answer again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

from continuo.kube.port import Change, Cluster
from continuo.resources.meta import Kind

_CALLS = ("apply", "create", "delete", "get", "list", "patch", "post", "raw", "replace")


class Life:
    """How many requests the process has left."""

    def __init__(self, requests: int, rng: Random) -> None:
        self._left, self._random = requests, rng
        self.over = asyncio.Event()

    async def spend(self, call: Any) -> Any:
        """Do it; the last one is done and never known of, or not even sent."""
        self._left -= 1
        if self._left > 0:
            return await call()
        if self._left == 0 and self._random.random() < 0.5:
            await call()
        self.over.set()
        return await asyncio.Event().wait()


class Mortal:
    """Implements Cluster."""

    def __init__(self, cluster: Cluster, life: Life) -> None:
        self.name, self._cluster, self._life = cluster.name, cluster, life

    def __getattr__(self, name: str) -> Any:
        if name not in _CALLS:
            raise AttributeError(name)
        method = getattr(self._cluster, name)

        async def call(*args: Any, **more: Any) -> Any:
            return await self._life.spend(lambda: method(*args, **more))

        return call

    async def watch(self, kind: Kind, namespace: str | None = None, **more: Any) -> AsyncIterator[Change]:
        async for change in self._cluster.watch(kind, namespace, **more):
            if self._life.over.is_set():
                await asyncio.Event().wait()
            yield change

    async def close(self) -> None:
        """The client is its owner's."""
