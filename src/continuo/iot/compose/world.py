"""What is decided from, and what is decided: frozen data between the plan and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from continuo.iot.compose.objects import Slice
from continuo.iot.compose.observed import Observed
from continuo.resources.meta import Object

Endpoints: TypeAlias = Mapping[tuple[str, str, str], str]
"""Addresses by application, component and port; the port is empty where none was named."""


@dataclass(frozen=True, slots=True)
class World:
    """What Crossplane told: the claim, the boards (None before they were asked for), and what was composed."""

    slice: Slice
    boards: tuple[Object, ...] | None
    observed: Observed
    remembered: Object
    """The claim's status as it is."""


@dataclass(frozen=True, slots=True)
class Composed:
    """One object of the slice."""

    object: Object
    ready: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the slice is."""

    world: World
    boards: Mapping[str, Object]
    members: Mapping[str, tuple[str, ...]]
    """By board, the names in the pipeline of what it gets."""
    shared: Mapping[str, Composed]
    resources: Mapping[str, Composed]
    """All objects, those of boards included."""
    ready: frozenset[str]
    """Boards that have everything."""
    endpoints: Endpoints
    waiting: tuple[str, ...]
    """What workloads wait for, in words."""

    @property
    def threshold(self) -> int:
        """How many boards have to be ready: all there are, at least one, unless the claim says how many."""
        asked = self.world.slice.spec.boards
        least = asked.min_ready if asked is not None else 0
        return max(1, len(self.members)) if least is None else least


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition of the slice, without a time: whoever writes it knows when it changed."""

    type: str
    status: str
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a slice means now."""

    resources: Mapping[str, Composed]
    conditions: tuple[Verdict, ...]
    status: Object
    ready: bool | None
    """Whether the slice is ready; None: when all its objects are."""
