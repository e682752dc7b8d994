"""Clients that die with their process: once it is dead nothing is asked any more, and no answer is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

from continuo.kube.port import Change, Cluster
from continuo.resources.errors import Unreachable
from continuo.resources.meta import Kind

_CALLS = ("apply", "create", "delete", "get", "list", "patch", "post", "raw", "replace")


class Life:
    """Whether the process lives. All its clients die at the same moment, as with `kill -9`.

    Given a number of requests it ends with the last of them, which is done and never known of, or not even sent.
    """

    def __init__(self, requests: int | None = None, rng: Random | None = None) -> None:
        self._left, self._random = requests, rng or Random(0)
        self.over = asyncio.Event()

    def end(self) -> None:
        """Die now."""
        self.over.set()

    def check(self) -> None:
        """Raises what a dead process makes of everything."""
        if self.over.is_set():
            raise Unreachable("the process is dead")

    async def spend(self, call: Any) -> Any:
        """One request."""
        self.check()
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.end()
                if self._random.random() < 0.5:
                    await call()
        answer = await call() if not self.over.is_set() else None
        self.check()
        return answer


class Mortal:
    """Implements Cluster."""

    def __init__(self, cluster: Cluster, life: Life, *, owns: bool = False) -> None:
        self.name, self._cluster, self._life, self._owns = cluster.name, cluster, life, owns

    def __getattr__(self, name: str) -> Any:
        if name not in _CALLS:
            raise AttributeError(name)
        method = getattr(self._cluster, name)

        async def call(*args: Any, **more: Any) -> Any:
            return await self._life.spend(lambda: method(*args, **more))

        return call

    async def watch(self, kind: Kind, namespace: str | None = None, **more: Any) -> AsyncIterator[Change]:
        self._life.check()
        async for change in self._cluster.watch(kind, namespace, **more):
            self._life.check()
            yield change

    async def close(self) -> None:
        if self._owns:
            await self._cluster.close()
