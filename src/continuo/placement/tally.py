"""What some places add up to, in plain Python: rooms taken, money spent, paths used, who is spread where.

The checker, the explanations and the scores read it. The heuristic keeps arrays of its own; that both agree is what
`check` is for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from continuo.placement.demands import domain_of, refused
from continuo.placement.model import Budget, Part, Problem, Room, Site, Talk
from continuo.placement.network import Network, Pair, pair
from continuo.placement.reasons import Cause, Refusal, cpu, memory
from continuo.resources.orchestration_places import Domain

GIB = 2**30
SLACK = 1e-9
"""Sums of prices are rounded, so a budget is kept when it is exceeded by less than this share."""


def cost_of(room: Room, site: Site) -> float:
    """What so much room costs there for an hour."""
    return (
        room.cpu_millis / 1000 * site.cost_cpu + room.memory_bytes / GIB * site.cost_memory + room.gpus * site.cost_gpu
    )


def carbon_of(room: Room, site: Site) -> float:
    """Grams of CO2 equivalent for an hour."""
    return room.cpu_millis / 1000 * site.carbon_cpu


def fixed(problem: Problem, part: Part) -> bool:
    """Whether a part stays where it runs, whatever is wrong with that."""
    return part.current is not None and problem.movable is not None and part.id not in problem.movable


def over(spent: float, limit: float) -> bool:
    """Whether a budget is exceeded."""
    return spent > limit + SLACK * max(1.0, abs(limit))


class Tally:
    """A problem with places for some of its parts; `put` and `take` change them."""

    def __init__(self, problem: Problem, places: Mapping[str, str]) -> None:
        self.problem = problem
        self.parts = {part.id: part for part in problem.parts}
        self.sites = {site.name: site for site in problem.sites}
        self.network = Network(problem.paths)
        self.budgets: dict[str, list[Budget]] = defaultdict(list)
        for budget in problem.budgets:
            self.budgets[budget.owner].append(budget)
        self.talks: dict[str, list[Talk]] = defaultdict(list)
        for talk in sorted(problem.talks, key=lambda talk: talk.name):
            for member in sorted(set(talk.members)):
                if member in self.parts:
                    self.talks[member].append(talk)
        self.apart: dict[str, set[str]] = defaultdict(set)
        self.groups: dict[str, list[Part]] = defaultdict(list)
        for part in sorted(problem.parts, key=lambda part: part.id):
            for other in part.apart_from:
                if other in self.parts and other != part.id:
                    self.apart[part.id].add(other)
                    self.apart[other].add(part.id)
            if part.spread_group is not None:
                self.groups[part.spread_group].append(part)
        self.places: dict[str, str] = {}
        self.load: dict[str, Room] = defaultdict(Room)
        self.spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.used: dict[Pair, int] = defaultdict(int)
        self._eligible: dict[tuple[str, Domain], frozenset[str]] = {}
        for part_id in sorted(places):
            self.put(part_id, places[part_id])

    def put(self, part_id: str, site: str) -> None:
        """Place a part that has no place."""
        self._change(self.parts[part_id], site, 1)
        self.places[part_id] = site

    def take(self, part_id: str) -> str | None:
        """Take a part from its place, which is returned."""
        site = self.places.pop(part_id, None)
        if site is not None:
            self._change(self.parts[part_id], site, -1)
        return site

    def resize(self, part: Part) -> None:
        """Let a part that has no place ask for another room; nothing else of it may differ."""
        self.parts[part.id] = part
        for across in Domain:
            self._eligible.pop((part.id, across), None)

    def stays(self, part_id: str, site: str) -> bool:
        """Whether it runs on that site already."""
        return self.parts[part_id].current == site

    def others(self, talk: Talk, part_id: str) -> Iterator[tuple[str, str]]:
        """The other members that have a place, with it."""
        for other in sorted(set(talk.members)):
            if other != part_id and other in self.places:
                yield other, self.places[other]

    def _change(self, part: Part, site: str, sign: int) -> None:
        load, room = self.load[site], part.room
        self.load[site] = Room(
            cpu_millis=load.cpu_millis + sign * room.cpu_millis,
            memory_bytes=load.memory_bytes + sign * room.memory_bytes,
            gpus=load.gpus + sign * room.gpus,
        )
        if site in self.sites:
            self.spent[part.owner][0] += sign * cost_of(room, self.sites[site])
            self.spent[part.owner][1] += sign * carbon_of(room, self.sites[site])
        for talk in self.talks.get(part.id, ()):
            if talk.bandwidth_bps:
                for _, there in self.others(talk, part.id):
                    if there != site:
                        self.used[pair(site, there)] += sign * talk.bandwidth_bps

    # --- what rules a site out for a part that has no place, the others being where they are -------------------------
    def refusals(self, part_id: str, site_name: str) -> Iterator[Refusal]:
        """All reasons for which the part may not be there, as they are told: its own demands first."""
        part, site = self.parts[part_id], self.sites[site_name]
        own = refused(part, site, self.sites)
        if own is not None:
            yield own
        yield from self._room(part, site)
        yield from self._together(part, site_name)
        yield from self._spread(part, site)
        yield from self._network(part, site_name)
        yield from self._budgets(part, site)

    def _room(self, part: Part, site: Site) -> Iterator[Refusal]:
        load, free, wanted = self.load[site.name], site.free, part.room
        if wanted.cpu_millis > 0 and load.cpu_millis + wanted.cpu_millis > free.cpu_millis:
            yield Refusal(Cause.CPU, f"cpu {cpu(wanted.cpu_millis)} of {cpu(free.cpu_millis - load.cpu_millis)} free")
        if wanted.memory_bytes > 0 and load.memory_bytes + wanted.memory_bytes > free.memory_bytes:
            left = free.memory_bytes - load.memory_bytes
            yield Refusal(Cause.MEMORY, f"memory {memory(wanted.memory_bytes)} of {memory(left)} free")
        if wanted.gpus > 0 and load.gpus + wanted.gpus > free.gpus:
            yield Refusal(Cause.GPU, f"gpus {wanted.gpus} of {free.gpus - load.gpus} free")

    def _together(self, part: Part, site: str) -> Iterator[Refusal]:
        for other in sorted(part.beside):
            if other in self.parts and other != part.id and self.places.get(other) != site:
                where = self.places.get(other)
                said = f"is on {where}" if where else "has no place"
                yield Refusal(Cause.BESIDE, f"it shares a cluster with {other}, which {said}")
        for other in sorted(self.apart.get(part.id, ())):
            if self.places.get(other) == site:
                yield Refusal(Cause.APART, f"{other} is there, which it stays apart from")

    def _network(self, part: Part, site: str) -> Iterator[Refusal]:
        stays = self.stays(part.id, site)
        wanted: dict[str, tuple[str, int]] = {}
        for talk in self.talks.get(part.id, ()):
            for other, there in self.others(talk, part.id):
                lenient = stays and self.stays(other, there)
                found = self.network.refused(talk, site, there, lenient=lenient)
                if found is not None:
                    yield found
                if talk.bandwidth_bps and there != site and not (lenient and self.network.room(site, there) is None):
                    wanted[there] = (talk.name, wanted.get(there, ("", 0))[1] + talk.bandwidth_bps)
        for there, (name, bps) in sorted(wanted.items()):
            found = self.network.narrow(name, site, there, bps, self.used.get(pair(site, there), 0))
            if found is not None:
                yield found

    def _budgets(self, part: Part, site: Site) -> Iterator[Refusal]:
        for budget in self.budgets.get(part.owner, ()):
            spent = self.spent.get(part.owner, (0.0, 0.0))
            for cause, what, limit, before, here in (
                (Cause.COST, "cost", budget.cost, budget.spent_cost + spent[0], cost_of(part.room, site)),
                (Cause.CARBON, "carbon", budget.carbon, budget.spent_carbon + spent[1], carbon_of(part.room, site)),
            ):
                if limit is not None and here > 0 and over(before + here, limit):
                    left = f"{max(0.0, limit - before):.4g} of {part.owner}'s {limit:.4g} is left"
                    yield Refusal(cause, f"{what} {here:.4g} an hour, and {left}")

    # --- spread ------------------------------------------------------------------------------------------------------
    def eligible(self, part: Part, across: Domain) -> frozenset[str]:
        """Domains that could take a part if nothing else of the problem were placed."""
        key = (part.id, across)
        if key not in self._eligible:
            sites = self.sites
            could = (s for s in sites.values() if refused(part, s, sites) is None and _fits(part.room, s.free))
            named = (domain_of(site, across) for site in could)
            self._eligible[key] = frozenset(name for name in named if name is not None)
        return self._eligible[key]

    def _spread(self, part: Part, site: Site) -> Iterator[Refusal]:
        """What is there already may be askew: a part that stays is not driven out by a new cluster."""
        if part.spread_group is None or self.stays(part.id, site.name):
            return
        for across, most in sorted(skews(self.groups[part.spread_group]).items()):
            here = domain_of(site, across)
            if here is None:
                continue
            counts = self.counts(part.spread_group, across, but=part.id)
            counts[here] += 1
            least = min(((counts.get(name, 0), name) for name in self.eligible(part, across)), default=(0, here))
            if counts[here] - least[0] > most:
                said = f"{across} {here} would have {counts[here]} of group {part.spread_group} and {least[1]}, "
                yield Refusal(Cause.SPREAD, f"{said}which could take it, {least[0]}: more than {most} apart")

    def counts(self, group: str, across: Domain, but: str) -> dict[str, int]:
        """How many of a group each domain has."""
        counts: dict[str, int] = defaultdict(int)
        for member in self.groups[group]:
            site = self.sites.get(self.places.get(member.id, ""))
            name = None if site is None else domain_of(site, across)
            if name is not None and member.id != but:
                counts[name] += 1
        return counts


def skews(group: list[Part]) -> dict[Domain, int]:
    """Of one group: what it is spread across, each with the strictest skew that a member names."""
    found: dict[Domain, int] = {}
    for part in group:
        found[part.spread_across] = min(part.max_skew, found.get(part.spread_across, part.max_skew))
    return found


def _fits(room: Room, free: Room) -> bool:
    pairs = (
        (room.cpu_millis, free.cpu_millis),
        (room.memory_bytes, free.memory_bytes),
        (room.gpus, free.gpus),
    )
    return all(wanted <= 0 or wanted <= has for wanted, has in pairs)
