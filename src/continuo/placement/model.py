"""What is asked of placement and what it answers: frozen data that is JSON both ways.

A `Problem` holds all that an answer depends on, its randomness and its effort too; so the same problem has the same answer,
today and when somebody asks why. Neither the time nor the order in which things were listed is part of it.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from continuo.resources.orchestration_places import Domain, LocationTerm
from continuo.resources.orchestration_policies import Weights
from continuo.resources.orchestration_types import PlacementHint, Tier
from continuo.resources.selectors import LabelSelector


class Room(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What pods ask for, or what a cluster has for them."""

    cpu_millis: int = 0
    memory_bytes: int = 0
    gpus: int = 0


class Site(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A cluster that can take components, or one that they have to leave."""

    name: str
    tier: Tier | None = None
    provider: str | None = None
    datacenter: str | None = None
    region: str | None = None
    country: str | None = None
    city: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    labels: dict[str, str] = {}
    free: Room = Room()
    """What is left of it without the requests of the parts of this problem, even of those that run there now."""
    size: Room = Room()
    """What its nodes can take in all."""
    cost_cpu: float = 0.0
    """Of one CPU for an hour, in the unit that budgets are in."""
    cost_memory: float = 0.0
    """Of one GiB of memory for an hour."""
    cost_gpu: float = 0.0
    carbon_cpu: float = 0.0
    """Grams of CO2 equivalent of one CPU for an hour."""
    available: bool = True
    reason: str = ""
    """Why it takes nothing, such as `it has not answered since 10:02`; after the cluster's name and a comma or colon."""
    unlinkable: str = ""
    """Why it can be linked with no other site as it is, such as `has no Liqo`; after the cluster's name."""
    shared_id: str = ""
    """What it calls itself in Liqo, where another site calls itself the same: the two cannot be linked."""


class Path(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The network between two sites, in both directions; of several entries for one pair the worst figures count."""

    a: str
    b: str
    latency_ms: float | None = None
    jitter_ms: float | None = None
    bandwidth_bps: int | None = None
    measured: bool = False
    """Whether somebody measured it, rather than declared it. Figures that are None are not known."""
    age_seconds: float | None = None
    """How old the figures are."""
    bandwidth_age_seconds: float | None = None
    """How old the bandwidth is, where it is measured apart from the others."""


class Part(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A component that is placed."""

    id: str
    """`namespace/orchestration/application/component`."""
    owner: str = ""
    room: Room = Room()
    """Requests of all its replicas together."""
    hint: PlacementHint | None = None
    labels: LabelSelector = LabelSelector()
    locations: tuple[LocationTerm, ...] = ()
    """Where the site has to stand; one of these is enough."""
    pinned: str | None = None
    """The only site that it may be on."""
    current: str | None = None
    """Where it runs now."""
    home: str | None = None
    """Where it was moved off, and belongs."""
    root: str | None = None
    """The home of its application, which its site has to be linked with; None: whatever site that is, it can be."""
    beside: tuple[str, ...] = ()
    """Parts (ids) that it shares a site with. Ids that are no part of the problem are ignored."""
    apart_from: tuple[str, ...] = ()
    """Parts (ids) that it never shares a site with."""
    spread_group: str | None = None
    """Parts that name the same group are spread; so applications need names of their own for theirs."""
    spread_across: Domain = Domain.CLUSTER
    max_skew: int = 1
    """How many more of the group its domain may have than another that could take it."""


class Talk(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A virtual link: what the network between each two of its members must give."""

    name: str
    """Unique in the problem."""
    members: tuple[str, ...]
    """Parts (ids). Ids that are no part of the problem are ignored."""
    latency_ms: float | None = None
    """At most so much round trip."""
    jitter_ms: float | None = None
    bandwidth_bps: int | None = None
    """At least so much for each two members; on a path all talks add up."""


class Budget(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What all parts of one owner may cost together, per hour."""

    owner: str
    cost: float | None = None
    carbon: float | None = None
    spent_cost: float = 0.0
    """What the owner spends on what is no part of this problem."""
    spent_carbon: float = 0.0


class Scales(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What counts as 1 of each objective before weights; None: what an average part costs on an average site."""

    latency_ms: float = 100.0
    unknown_ms: float = 200.0
    """What a path counts for whose latency nobody knows."""
    cost: float | None = None
    carbon: float | None = None


class Problem(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Parts to place on sites. Orders of sites, paths, parts, talks and members mean nothing."""

    sites: tuple[Site, ...]
    parts: tuple[Part, ...]
    paths: tuple[Path, ...] = ()
    talks: tuple[Talk, ...] = ()
    budgets: tuple[Budget, ...] = ()
    weights: Weights = Weights()
    scales: Scales = Scales()
    movable: frozenset[str] | None = None
    """Parts (ids) that may leave where they run; None: all. A part that runs nowhere is placed in any case."""
    improve: bool = False
    """Whether a part that is well where it is moves because elsewhere is better by more than `weights.moves`.

    Otherwise it moves only where it must, or where something else would fit nowhere, and then as few as can be found."""
    seed: int = 0
    rounds: int | None = None
    """Rounds of the heuristic's search; None: as many as the size allows."""
    exact_within: float = 0.0
    """Seconds that the exact solver may take; 0 asks none."""


class Method(StrEnum):
    """Who found an answer."""

    HEURISTIC = "heuristic"
    EXACT = "exact"


class Objectives(Struct, frozen=True, kw_only=True, rename="camel"):
    """The weighted objectives of an answer, lower being better; the whole is their sum."""

    latency: float = 0.0
    cost: float = 0.0
    carbon: float = 0.0
    balance: float = 0.0
    moves: float = 0.0

    @property
    def total(self) -> float:
        """All of them together."""
        return self.latency + self.cost + self.carbon + self.balance + self.moves


class Answer(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which part goes where."""

    places: dict[str, str]
    """Site by part (id)."""
    unplaced: dict[str, str] = {}
    """One sentence by part (id) that fits nowhere."""
    objective: float = 0.0
    objectives: Objectives = Objectives()
    method: Method = Method.HEURISTIC
    bound: float | None = None
    """No answer that places as much is better than this; from the exact solver."""
    gap: float | None = None
    """How far the objective may be above the best, as a share of the objective."""
    note: str = ""
    """Why the exact solver did not answer where it was asked to."""


def moved(problem: Problem, answer: Answer) -> dict[str, tuple[str, str]]:
    """Parts that leave where they run: (from, to) by id."""
    return {
        part.id: (part.current, answer.places[part.id])
        for part in problem.parts
        if part.current is not None and answer.places.get(part.id, part.current) != part.current
    }
