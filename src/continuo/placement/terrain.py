"""Sites as arrays: rooms, prices, the network; and which sites fulfil what parts demand of them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np

from continuo.placement.demands import demands, domain_of
from continuo.placement.model import Part, Problem, Room, Site
from continuo.placement.network import Network
from continuo.placement.tally import GIB
from continuo.resources.orchestration_places import Domain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

RESOURCES = 3
CACHED_CELLS = 16_000_000
"""Of matrices of pairs of sites: beyond, rows are computed when they are asked for."""


def vector(room: Room) -> tuple[int, int, int]:
    """CPU, memory, GPUs."""
    return room.cpu_millis, room.memory_bytes, room.gpus


class Terrain:
    """The sites of a problem, in the order of their names, and those that something stays on though they are gone."""

    def __init__(self, problem: Problem) -> None:
        known = {site.name for site in problem.sites}
        gone = {part.current for part in problem.parts if part.current is not None} - known
        lost = [Site(name=name, available=False) for name in gone]
        self.sites = sorted([*problem.sites, *lost], key=lambda site: site.name)
        self.names = [site.name for site in self.sites]
        self._by_name = {site.name: site for site in problem.sites}
        self.index = {name: place for place, name in enumerate(self.names)}
        self.count = len(self.sites)
        self.free: Ints = np.array([vector(site.free) for site in self.sites], np.int64).reshape(-1, RESOURCES)
        self.size: Ints = np.array([vector(site.size) for site in self.sites], np.int64).reshape(-1, RESOURCES)
        prices = [(site.cost_cpu / 1000, site.cost_memory / GIB, site.cost_gpu) for site in self.sites]
        self.price: Floats = np.array(prices, np.float64).reshape(-1, RESOURCES)
        self.carbon: Floats = np.array([site.carbon_cpu / 1000 for site in self.sites], np.float64)
        self._masks: dict[Hashable, Bools] = {}
        self._domains: dict[Domain, tuple[Ints, list[str]]] = {}

    def mask(self, part: Part) -> Bools:
        """Sites that fulfil all that the part demands of them."""
        masks = []
        for demand in demands(part, self._by_name):
            if demand.key not in self._masks:
                self._masks[demand.key] = np.array([demand.test(site) for site in self.sites], bool)
            masks.append(self._masks[demand.key])
        fine: Bools = np.asarray(np.stack(masks).all(axis=0))
        return fine

    def fits(self, room: Ints, free: Ints) -> Bools:
        """Sites with so much room; who asks for nothing of a resource does not mind how much there is."""
        fine: Bools = np.asarray(((room <= 0) | (room <= free)).all(axis=1))
        return fine

    def domains(self, across: Domain) -> tuple[Ints, list[str]]:
        """The number of each site's domain (-1: nobody says), and the domains' names."""
        if across not in self._domains:
            of = [domain_of(site, across) for site in self.sites]
            names = sorted({name for name in of if name is not None})
            numbers = {name: number for number, name in enumerate(names)}
            self._domains[across] = np.array([-1 if n is None else numbers[n] for n in of], np.int64), names
        return self._domains[across]


class Wires:
    """The network between sites as matrices; infinite where nobody knows."""

    def __init__(self, terrain: Terrain, network: Network, unknown_ms: float, *, bandwidth: bool, jitter: bool) -> None:
        shape = (terrain.count, terrain.count)
        self.latency: Floats = np.full(shape, np.inf)
        self.jitter: Floats | None = np.full(shape, np.inf) if jitter else None
        self.room: Ints | None = np.full(shape, -1, np.int64) if bandwidth else None
        here, there, paths = [], [], []
        for (a, b), path in network.paths.items():
            if a in terrain.index and b in terrain.index:
                here.append(terrain.index[a])
                there.append(terrain.index[b])
                paths.append(path)
        _fill(self.latency, here, there, [np.inf if path.latency_ms is None else path.latency_ms for path in paths], 0)
        if self.jitter is not None:
            _fill(self.jitter, here, there, [np.inf if path.jitter_ms is None else path.jitter_ms for path in paths], 0)
        if self.room is not None:
            rates = [-1 if path.bandwidth_bps is None else min(path.bandwidth_bps, 2**62) for path in paths]
            _fill(self.room, here, there, rates, 2**62)
        self.assumed: Floats = np.where(np.isinf(self.latency), unknown_ms, self.latency)
        """What is reckoned with where no bound asks for a figure."""
        self._cached: dict[tuple[float, float, float], Floats] = {}

    def rows(self, sites: int | Ints, weight: float, latency: float, jitter: float) -> Floats:
        """What it costs to be on each site while the other is on this one (or these); infinite where a bound is broken."""
        matrix = self.matrix(weight, latency, jitter)
        found: Floats = self._costs(sites, (weight, latency, jitter)) if matrix is None else matrix[sites]
        return found

    def matrix(self, weight: float, latency: float, jitter: float) -> Floats | None:
        """All those rows; none where keeping them would take too much memory."""
        key = (weight, latency, jitter)
        if key not in self._cached:
            if (len(self._cached) + 1) * self.latency.size > CACHED_CELLS:
                return None
            self._cached[key] = self._costs(slice(None), key)
        return self._cached[key]

    def _costs(self, rows: int | Ints | slice, key: tuple[float, float, float]) -> Floats:
        weight, most, most_jitter = key
        costs: Floats = self.assumed[rows] * weight
        if most < np.inf:
            np.copyto(costs, np.inf, where=self.latency[rows] > most)
        if self.jitter is not None and most_jitter < np.inf:
            np.copyto(costs, np.inf, where=self.jitter[rows] > most_jitter)
        return costs


def _fill(matrix: Floats | Ints, here: list[int], there: list[int], values: list[float] | list[int], own: int) -> None:
    matrix[here, there] = values
    matrix[there, here] = values
    np.fill_diagonal(matrix, own)
