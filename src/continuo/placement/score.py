"""What an answer is worth: the weighted objectives, as a whole and for one part on one site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from continuo.placement.model import Objectives, Part, Problem, Room, Site, Talk
from continuo.placement.tally import Tally, carbon_of, cost_of

RESOURCES = ("cpu_millis", "memory_bytes", "gpus")
FAMILIAR = 0.5
"""Of a move, what going home counts."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What counts as 1 of each objective."""

    latency_ms: float
    unknown_ms: float
    cost: float
    carbon: float
    room: tuple[float, float, float]
    """An average part's, by resource; 0 where no part asks for it."""

    @property
    def resources(self) -> int:
        """How many resources are asked for at all."""
        return sum(1 for mean in self.room if mean > 0)


def yardstick(problem: Problem) -> Yardstick:
    """Scales as the problem names them, or an average part on an average site."""
    count = max(1, len(problem.parts))
    total = tuple(sum(getattr(part.room, name) for part in problem.parts) for name in RESOURCES)
    whole = Room(cpu_millis=total[0], memory_bytes=total[1], gpus=total[2])
    return Yardstick(
        latency_ms=problem.scales.latency_ms,
        unknown_ms=problem.scales.unknown_ms,
        cost=problem.scales.cost or _mean([cost_of(whole, site) / count for site in problem.sites]) or 1.0,
        carbon=problem.scales.carbon or _mean([carbon_of(whole, site) / count for site in problem.sites]) or 1.0,
        room=(total[0] / count, total[1] / count, total[2] / count),
    )


def _mean(values: list[float]) -> float:
    return sum(sorted(values)) / len(values) if values else 0.0


def move_of(part: Part, site: str) -> float:
    """How much of a move it is to be there: none for what runs nowhere and belongs nowhere."""
    if (part.current is None and part.home is None) or site == part.current:
        return 0.0
    return 0.0 if part.current is None and site == part.home else FAMILIAR if site == part.home else 1.0


def fullness(site: Site, load: Room, stick: Yardstick) -> float:
    """How much a load adds to the balance of a site: squares of its fullness, weighed by its size."""
    total = 0.0
    for name, mean in zip(RESOURCES, stick.room, strict=True):
        size, more = getattr(site.size, name), getattr(load, name)
        if mean > 0 and size > 0:
            used = max(0, size - getattr(site.free, name))
            total += more * (2 * used + more) / (size * mean)
    return total / max(1, stick.resources)


def share_of(talk: Talk) -> float:
    """What each two members of a talk count: a talk of many is no more than half of its members together."""
    return 1.0 / max(1, len(set(talk.members)) - 1)


def latency_of(tally: Tally, stick: Yardstick, here: str, there: str) -> float:
    """What a path counts, before weights."""
    known = tally.network.latency(here, there)
    return (stick.unknown_ms if known is None else known) / stick.latency_ms


def objectives(problem: Problem, places: Mapping[str, str]) -> Objectives:
    """The weighted objectives of places."""
    stick, tally, weights = yardstick(problem), Tally(problem, places), problem.weights
    placed = [(tally.parts[part], places[part]) for part in sorted(places)]
    on = [(part, tally.sites[site]) for part, site in placed if site in tally.sites]
    latency = 0.0
    for talk in sorted(problem.talks, key=lambda talk: talk.name):
        members = [member for member in sorted(set(talk.members)) if member in places and member in tally.parts]
        pairs = combinations(members, 2)
        latency += share_of(talk) * sum(latency_of(tally, stick, places[a], places[b]) for a, b in pairs)
    return Objectives(
        latency=weights.latency * latency,
        cost=weights.cost * sum(cost_of(part.room, site) for part, site in on) / stick.cost,
        carbon=weights.carbon * sum(carbon_of(part.room, site) for part, site in on) / stick.carbon,
        balance=weights.balance
        * sum(
            fullness(tally.sites[name], tally.load[name], stick) for name in sorted(tally.load) if name in tally.sites
        ),
        moves=weights.moves * sum(move_of(part, site) for part, site in placed),
    )


def at(tally: Tally, stick: Yardstick, part_id: str, site_name: str) -> Objectives:
    """What a part that has no place would add on a site."""
    part, site, weights = tally.parts[part_id], tally.sites[site_name], tally.problem.weights
    latency = sum(
        share_of(talk) * latency_of(tally, stick, site_name, there)
        for talk in tally.talks.get(part_id, ())
        for _, there in tally.others(talk, part_id)
    )
    load = tally.load[site_name]
    more = Room(**{name: getattr(load, name) + getattr(part.room, name) for name in RESOURCES})
    return Objectives(
        latency=weights.latency * latency,
        cost=weights.cost * cost_of(part.room, site) / stick.cost,
        carbon=weights.carbon * carbon_of(part.room, site) / stick.carbon,
        balance=weights.balance * (fullness(site, more, stick) - fullness(site, load, stick)),
        moves=weights.moves * move_of(part, site_name),
    )
