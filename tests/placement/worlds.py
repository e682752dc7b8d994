"""Small problems, drawn by hypothesis or written down, and a brute force that knows nothing of the engine."""

from __future__ import annotations

import random
from itertools import combinations, product

from hypothesis import strategies as st

from continuo.placement.model import Budget, Part, Path, Problem, Room, Scales, Site, Talk
from continuo.resources.orchestration_places import Domain
from continuo.resources.orchestration_policies import Weights
from continuo.resources.orchestration_types import PlacementHint, Tier
from continuo.resources.selectors import LabelSelector

GIB = 2**30


def room(cpu: int, gib: int = 0, gpus: int = 0) -> Room:
    """CPUs, GiB, GPUs."""
    return Room(cpu_millis=cpu * 1000, memory_bytes=gib * GIB, gpus=gpus)


def site(name: str, cpu: int = 8, gib: int = 32, gpus: int = 0, **fields: object) -> Site:
    return Site(name=name, free=room(cpu, gib, gpus), size=room(cpu, gib, gpus), **fields)  # type: ignore[arg-type]


def part(name: str, cpu: int = 1, gib: int = 1, gpus: int = 0, **fields: object) -> Part:
    return Part(id=name, room=room(cpu, gib, gpus), **fields)  # type: ignore[arg-type]


def problem(sites: list[Site], parts: list[Part], **fields: object) -> Problem:
    return Problem(sites=tuple(sites), parts=tuple(parts), **fields)  # type: ignore[arg-type]


NAMES = ["athens", "bern", "cork", "delft", "evora"]
IDS = ["n/o/a/w", "n/o/a/x", "n/o/a/y", "n/o/a/z"]
SCALES = Scales(cost=1.0, carbon=1.0)


@st.composite
def sites(draw: st.DrawFn) -> Site:
    return site(
        draw(st.sampled_from(NAMES)),
        draw(st.integers(0, 6)),
        draw(st.integers(0, 6)),
        draw(st.integers(0, 1)),
        tier=draw(st.sampled_from([None, Tier.CLOUD, Tier.EDGE])),
        region=draw(st.sampled_from([None, "north", "south"])),
        labels=draw(st.sampled_from([{}, {"iso": "true"}])),
        cost_cpu=draw(st.integers(0, 4)) / 4,
        carbon_cpu=draw(st.integers(0, 4)) / 1.0,
        available=draw(st.sampled_from([True, True, True, False])),
        unlinkable=draw(st.sampled_from(["", "", "", "has no Liqo"])),
        shared_id=draw(st.sampled_from(["", "", "x"])),
    )


@st.composite
def parts(draw: st.DrawFn, name: str) -> Part:
    others = [each for each in IDS if each != name]
    return part(
        name,
        draw(st.integers(0, 4)),
        draw(st.integers(0, 4)),
        draw(st.sampled_from([0, 0, 0, 1])),
        owner=draw(st.sampled_from(["ann", "bob"])),
        hint=draw(st.sampled_from([None, None, PlacementHint.CLOUD, PlacementHint.EDGE])),
        labels=draw(st.sampled_from([LabelSelector(), LabelSelector(), LabelSelector(match_labels={"iso": "true"})])),
        current=draw(st.sampled_from([None, None, *NAMES])),
        home=draw(st.sampled_from([None, None, None, *NAMES])),
        beside=tuple(draw(st.sampled_from([[], [], [], others[:1]]))),
        apart_from=tuple(draw(st.sampled_from([[], [], [], others[1:2]]))),
        spread_group=draw(st.sampled_from([None, None, "g"])),
        spread_across=draw(st.sampled_from([Domain.CLUSTER, Domain.REGION])),
        max_skew=draw(st.integers(1, 2)),
        root=draw(st.sampled_from([None, None, *NAMES])),
    )


@st.composite
def talks(draw: st.DrawFn, names: list[str], name: str) -> Talk:
    return Talk(
        name=name,
        members=tuple(draw(st.lists(st.sampled_from(names), min_size=2, max_size=3, unique=True))),
        latency_ms=draw(st.sampled_from([None, 5.0, 20.0])),
        jitter_ms=draw(st.sampled_from([None, None, 2.0])),
        bandwidth_bps=draw(st.sampled_from([None, None, 10, 20])),
    )


@st.composite
def paths(draw: st.DrawFn) -> Path:
    a, b = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True))
    return Path(
        a=a,
        b=b,
        latency_ms=draw(st.sampled_from([None, 1.0, 10.0, 30.0])),
        jitter_ms=draw(st.sampled_from([None, 1.0, 3.0])),
        bandwidth_bps=draw(st.sampled_from([None, 15, 30])),
        measured=True,
    )


@st.composite
def problems(draw: st.DrawFn, most_parts: int = 4, most_sites: int = 4) -> Problem:
    """All kinds of constraints at once, and few enough of each that some can be kept."""
    some = draw(st.lists(sites(), max_size=most_sites, unique_by=lambda each: each.name))
    names = IDS[: draw(st.integers(1, most_parts))]
    spoken = [draw(talks(names, f"t{n}")) for n in range(draw(st.integers(0, 2)))] if len(names) > 1 else []
    limits = st.sampled_from([None, 1.0, 3.0])
    return problem(
        some,
        [draw(parts(name)) for name in names],
        talks=tuple(spoken),
        paths=tuple(draw(st.lists(paths(), max_size=8))),
        budgets=tuple(
            Budget(owner=owner, cost=draw(limits), carbon=draw(st.sampled_from([None, 8.0]))) for owner in ("ann",)
        ),
        weights=draw(st.sampled_from([Weights(), Weights(carbon=1.0, moves=0.2), Weights(balance=0, latency=3)])),
        movable=draw(st.sampled_from([None, None, frozenset(IDS[:1]), frozenset()])),
        improve=draw(st.booleans()),
        scales=SCALES,
        seed=draw(st.integers(0, 3)),
    )


def assignments(asked: Problem) -> list[dict[str, str]]:
    """Every way to give parts a place, or none; what may not move stays."""
    choices = []
    names = [each.name for each in asked.sites]
    for each in asked.parts:
        stays = each.current is not None and asked.movable is not None and each.id not in asked.movable
        choices.append([each.current] if stays else [None, *names])
    ids = [each.id for each in asked.parts]
    found = (zip(ids, chosen, strict=True) for chosen in product(*choices))
    return [{name: place for name, place in each if place is not None} for each in found]


def crowded(count: int, on: int, talking: int, seed: int, use: float = 0.8) -> Problem:
    """Parts that ask for most of all CPUs, and talk within bounds; where they could be is drawn first."""
    rng = random.Random(seed)
    some = [site(f"s{n:02}", rng.randint(8, 32), cost_cpu=rng.randint(2, 9) / 100) for n in range(on)]
    ways = [
        Path(a=a.name, b=b.name, latency_ms=float(rng.randint(1, 40)), measured=True) for a, b in combinations(some, 2)
    ]
    known = {(way.a, way.b): way.latency_ms or 0.0 for way in ways}
    left = {each.name: each.free.cpu_millis for each in some}
    mean = use * sum(left.values()) / count
    made, hidden = [], {}
    for number in range(count):
        wanted = int(rng.uniform(0.4, 1.6) * mean) // 100 * 100
        name = rng.choice([name for name, free in left.items() if free >= wanted] or [max(left, key=lambda n: left[n])])
        wanted = min(wanted, left[name])
        left[name] -= wanted
        made.append(Part(id=f"p{number:03}", room=Room(cpu_millis=wanted)))
        hidden[f"p{number:03}"] = name
    spoken = []
    for number in range(talking):
        a, b = sorted(rng.sample(sorted(hidden), 2))
        latency = known.get(tuple(sorted((hidden[a], hidden[b]))), 0.5)  # type: ignore[call-overload]
        spoken.append(Talk(name=f"t{number:03}", members=(a, b), latency_ms=latency * rng.uniform(1, 2)))
    return problem(some, made, paths=tuple(ways), talks=tuple(spoken))
