"""Fixtures of the engine's core: an engine in memory whose time and timers the test moves by hand."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from continuo.embedded.api import ClusterApi
from continuo.embedded.apicore.changelog import DEFAULT_BOUNDS, Bounds
from continuo.embedded.engine import EmbeddedEngine
from continuo.resources.meta import Kind, Object


class Hands:
    """The clock and the timers of one test."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._cancelled: set[int] = set()
        self._numbers = count()

    def now(self) -> float:
        return self.time

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        number = next(self._numbers)
        heapq.heappush(self._timers, (self.time + seconds, number, callback))
        return lambda: self._cancelled.add(number)

    def settle(self, seconds: float = 0.0) -> None:
        """Run what is due within the seconds, until nothing is."""
        end = self.time + seconds
        for _ in range(100_000):
            if not self._timers or self._timers[0][0] > end:
                self.time = end
                return
            due, number, callback = heapq.heappop(self._timers)
            self.time = max(self.time, due)
            if number not in self._cancelled:
                callback()
        raise AssertionError("the engine does not come to rest")


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def new_engine(hands: Hands) -> Iterator[Callable[..., EmbeddedEngine]]:
    made: list[EmbeddedEngine] = []

    def make(data: Path | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> EmbeddedEngine:
        engine = EmbeddedEngine(
            data, clock=hands.now, call_later=hands.call_later, random=Random(len(made)), bounds=bounds, ca="PEM"
        )
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.store.close()


@pytest.fixture
def engine(new_engine: Callable[..., EmbeddedEngine]) -> EmbeddedEngine:
    return new_engine()


@pytest.fixture
def api(engine: EmbeddedEngine) -> ClusterApi:
    return engine.create_cluster("green")


WIDGET = Kind("example.dev", "v1", "Widget", "widgets", short_names=("wd",))
WIDGET_V2 = Kind("example.dev", "v2", "Widget", "widgets", short_names=("wd",))


def widget_schema(**more: Any) -> Object:
    return {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 0},
                    "color": {"type": "string", "default": "red"},
                    "fixed": {"type": "string", "x-kubernetes-validations": [
                        {"rule": "self == oldSelf", "message": "fixed cannot be changed"},
                    ]},
                    **more,
                },
                "x-kubernetes-validations": [{"rule": "self.size < 100", "message": "size must be below 100"}],
            },
            "status": {"type": "object", "properties": {
                "size": {"type": "integer"}, "selector": {"type": "string"}, "phase": {"type": "string"},
            }},
        },
    }  # fmt: skip


def widget_definition(schema: Object | None = None, **spec: Any) -> Object:
    body = schema or widget_schema()
    version = {
        "served": True,
        "schema": {"openAPIV3Schema": body},
        "subresources": {"status": {}, "scale": {
            "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size",
            "labelSelectorPath": ".status.selector",
        }},
    }  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.dev"},
        "spec": {
            "group": "example.dev",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{"name": "v1", "storage": True, **version}, {"name": "v2", "storage": False, **version}],
            **spec,
        },
    }


@pytest.fixture
def definition() -> Callable[..., Object]:
    return widget_definition


@pytest.fixture
def schema() -> Callable[..., Object]:
    return widget_schema


@pytest.fixture
def widget() -> Kind:
    return WIDGET


@pytest.fixture
def widget_v2() -> Kind:
    return WIDGET_V2


@pytest.fixture
def pod() -> Callable[..., Object]:
    def make(name: str = "web", **spec: Any) -> Object:
        containers = [{"name": "main", "image": "nginx:1.27"}]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": containers, **spec},
        }

    return make
