"""A world with virtual time: the real engine in memory, the stand-ins, and a clock that only tests move."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.standins.settings import Flavor, Settings
from continuo.embedded.standins.workload import NewNode, register
from continuo.resources.kinds import NODE


class VirtualTime:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._cancelled: set[int] = set()
        self._number = 0

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        self._number += 1
        number = self._number
        heapq.heappush(self._heap, (self.now + seconds, number, callback))
        return lambda: self._cancelled.add(number)

    def run(self, seconds: float, watch: Callable[[], None] | None = None) -> None:
        """Let time pass; `watch` is called after every callback."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            at, number, callback = heapq.heappop(self._heap)
            if number in self._cancelled:
                self._cancelled.discard(number)
                continue
            self.now = max(self.now, at)
            callback()
            if watch is not None:
                watch()
        self.now = end


class Credentials:
    def kubeconfig(self, url: str, cluster: str, user: str, groups: tuple[str, ...]) -> str:
        return f"apiVersion: v1\nkind: Config\ncurrent-context: {cluster}\n# {url}\n"


class World:
    def __init__(self, settings: Settings | None = None, seed: int = 7) -> None:
        self.time = VirtualTime()
        self.settings = settings or Settings()
        self.rng = Random(seed)
        self.engine = EmbeddedEngine(
            clock=lambda: self.time.now,
            random=Random(seed),
            call_later=self.time.call_later,
            credentials=Credentials(),
        )
        self.running: list[Any] = []

    def start(self, *standins: Any) -> None:
        for standin in standins:
            standin.start()
            self.running.append(standin)

    def run(self, seconds: float = 5.0, watch: Callable[[], None] | None = None) -> None:
        self.time.run(seconds, watch)

    def node(self, api: Any, name: str, *, cpu: int = 4, memory: int = 8192, pods: int = 110, **more: Any) -> Any:
        number = len(api.list(NODE)) + 1
        labels = {"node.continuo.dev/network": "builtin", **more.pop("labels", {})}
        return register(
            api,
            NewNode(name, "v1.34.0", f"10.6.0.{number}", Flavor(cpu, memory), pods, labels=labels, **more),
        )


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for standin in made.running:
        standin.stop()
    made.engine.store.close()


@contextmanager
def worlds() -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(**arguments: Any) -> World:
        made.append(World(**arguments))
        return made[-1]

    yield make
    for entry in made:
        for standin in entry.running:
            standin.stop()
        entry.engine.store.close()


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    with worlds() as make:
        yield make


@pytest.fixture(scope="module")
def make_lasting_world() -> Iterator[Callable[..., World]]:
    """Worlds for all tests of a file, which leave them as they found them."""
    with worlds() as make:
        yield make
