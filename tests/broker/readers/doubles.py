"""A reader that says what it is told to say, and objects of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from continuo.broker.readers.amounts import parse
from continuo.broker.readers.port import Bell, Changes
from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object


class Said:
    def __init__(self, **resources: str) -> None:
        self.resources = resources
        self.error: ApiError | None = None
        self.bell, self.asked, self.removed = Bell(), list[str](), list[str]()

    def say(self, **resources: str) -> None:
        self.resources = resources
        self.bell.ring()

    async def read(self, originator: str) -> dict[str, Fraction]:
        self.asked.append(originator)
        if self.error is not None:
            raise self.error
        return parse(self.resources)

    async def remove(self, cluster: str) -> None:
        if self.error is not None:
            raise self.error
        self.removed.append(cluster)

    def subscribe(self) -> Changes:
        return self.bell.subscribe()


async def next_change(changes: Changes) -> None:
    async with asyncio.timeout(5):
        await changes.__anext__()


async def until(true: Callable[[], bool], changes: Changes) -> None:
    """Return when it is so; looked at after every change."""
    async with asyncio.timeout(10):
        while not true():
            await changes.__anext__()


def node(name: str, ready: bool = True, labels: Mapping[str, str] | None = None, **allocatable: str) -> Object:
    status: dict[str, Any] = {
        "allocatable": allocatable,
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    }
    return kinds.NODE.new(name, metadata={"labels": dict(labels or {})}, status=status)


def namespace(name: str, consumer: str = "") -> Object:
    labels = {"continuo.dev/consumer": consumer} if consumer else {}
    return kinds.NAMESPACE.new(name, metadata={"labels": labels})


def pod(name: str, space: str, on: str | None, phase: str = "Running", **requests: str) -> Object:
    spec: dict[str, Any] = {"containers": [{"name": "c", "image": "i", "resources": {"requests": requests}}]}
    if on:
        spec["nodeName"] = on
    return kinds.POD.new(name, space, spec=spec, status={"phase": phase})
