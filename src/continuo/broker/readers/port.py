"""What every reader of resources is, so that readers chain and anybody can plug one in.

A reader answers for one cluster at a time: what may it use, in all, what it uses already included. So the answer does not
shrink while that cluster's pods arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Protocol, TypeAlias

Resources: TypeAlias = Mapping[str, Fraction]
"""Exact amounts by resource name, in Kubernetes' base units (`cpu` in cores, `memory` in bytes)."""


class Changes(Protocol):
    """One item for each time that resources may have changed; several changes may come as one item."""

    def __aiter__(self) -> Changes: ...

    async def __anext__(self) -> None: ...

    async def aclose(self) -> None: ...


class ResourceReader(Protocol):
    """Anything that can tell what a cluster may use."""

    async def read(self, originator: str) -> Resources:
        """What that cluster may use. Raises an `ApiError` when it cannot be told."""
        ...

    async def remove(self, cluster: str) -> None:
        """Forget everything that is kept for that cluster."""
        ...

    def subscribe(self) -> Changes:
        """Tell of changes from this call on."""
        ...


class Bell:
    """Wakes every subscriber; what rings while a subscriber is busy is one item for it."""

    def __init__(self) -> None:
        self._subscribers: set[Subscription] = set()

    def ring(self) -> None:
        """Something may have changed."""
        for subscriber in tuple(self._subscribers):
            subscriber.wake()

    def subscribe(self) -> Subscription:
        """Listen from now on, until `aclose`."""
        subscription = Subscription(self._subscribers.discard)
        self._subscribers.add(subscription)
        return subscription

    def __len__(self) -> int:
        return len(self._subscribers)


class Subscription:
    """One subscriber's ear. After `aclose` the iteration ends."""

    def __init__(self, forget: Callable[[Subscription], object]) -> None:
        self._forget, self._rung, self._closed = forget, asyncio.Event(), False

    def wake(self) -> None:
        """Have the next item ready."""
        self._rung.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> None:
        await self._rung.wait()
        if self._closed:
            raise StopAsyncIteration
        self._rung.clear()

    async def aclose(self) -> None:
        """Listen no more."""
        self._closed = True
        self._forget(self)
        self._rung.set()


class Merged:
    """Several readers' changes as one stream; a stream that ends leaves the others."""

    def __init__(self, *sources: Changes) -> None:
        self._bell = Bell()
        self._own, self._sources = self._bell.subscribe(), sources
        self._tasks = [asyncio.create_task(self._pump(source)) for source in sources]

    async def _pump(self, source: Changes) -> None:
        async for _ in source:
            self._bell.ring()

    def __aiter__(self) -> Merged:
        return self

    async def __anext__(self) -> None:
        await self._own.__anext__()

    async def aclose(self) -> None:
        """Close all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for source in self._sources:
            await source.aclose()
        await self._own.aclose()
