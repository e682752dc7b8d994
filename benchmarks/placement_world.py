"""A made-up continuum to place things on: data centres, edge clusters around them, devices; and applications."""

from __future__ import annotations

import itertools
import math
import random

import msgspec

from continuo.placement.model import Budget, Part, Path, Problem, Room, Site, Talk
from continuo.resources.orchestration_policies import Weights
from continuo.resources.orchestration_types import PlacementHint, Tier

GIB = 2**30
APP, TALKS, CAMPUS = 8, 300, 2.0
SIZES = {Tier.CLOUD: (64, 128), Tier.EDGE: (16, 32), Tier.DEVICE: (4, 8)}
"""CPUs of a cluster, from and to."""
PRICES = {Tier.CLOUD: (0.02, 0.04), Tier.EDGE: (0.04, 0.08), Tier.DEVICE: (0.01, 0.12)}


def world(
    parts: int, sites: int, talks: int, *, seed: int = 7, use: float = 0.7, near: int | None = None, loose: float = 1.0
) -> Problem:
    """So many parts that ask for `use` of all CPUs; every site knows its `near` nearest others, or all."""
    rng = random.Random(seed)
    places = [_site(rng, number) for number in range(sites)]
    paths = _paths(rng, places, near)
    known = {(path.a, path.b): path.latency_ms or 0.0 for path in paths}
    made, linked = _parts(rng, places, parts, talks, use, known, loose)
    owners = sorted({part.owner for part in made})
    budgets = tuple(Budget(owner=owner, cost=1e6) for owner in owners)
    return Problem(sites=tuple(places), parts=tuple(made), paths=tuple(paths), talks=tuple(linked), budgets=budgets)


def _site(rng: random.Random, number: int) -> Site:
    tier = rng.choices((Tier.CLOUD, Tier.EDGE, Tier.DEVICE), (2, 6, 2))[0]
    cpus = rng.randint(*SIZES[tier])
    room = Room(cpu_millis=cpus * 1000, memory_bytes=cpus * rng.choice((2, 4, 8)) * GIB, gpus=rng.choice((0, 0, 0, 2)))
    price = rng.uniform(*PRICES[tier])
    latitude, longitude = rng.uniform(36, 60), rng.uniform(-9, 28)
    region = f"r{int((latitude - 36) // 8)}{int((longitude + 9) // 13)}"
    return Site(
        name=f"c{number:04}", tier=tier, provider=f"p{number % 5}", region=region, country=region[:2],
        latitude=latitude, longitude=longitude, labels={"iso27001": "true"} if rng.random() < 0.5 else {},
        free=room, size=room, cost_cpu=price, cost_memory=price / 8, cost_gpu=price * 20, carbon_cpu=rng.uniform(2, 30),
    )  # fmt: skip


def _paths(rng: random.Random, sites: list[Site], near: int | None) -> list[Path]:
    found: dict[tuple[str, str], Path] = {}
    for site in sites:
        others = sorted((_distance(site, other), other.name) for other in sites if other.name != site.name)
        for distance, other in others[:near]:
            pair = key(site.name, other)
            if pair not in found:
                latency = 1.0 + distance / 100 * rng.uniform(1.0, 1.6)
                found[pair] = Path(
                    a=pair[0], b=pair[1], latency_ms=round(latency, 2), jitter_ms=round(latency / 10, 2),
                    bandwidth_bps=10**9, measured=True, age_seconds=30,
                )  # fmt: skip
    return list(found.values())


def _distance(one: Site, other: Site) -> float:
    """Kilometres, near enough."""
    assert one.latitude and one.longitude and other.latitude and other.longitude
    x = (one.longitude - other.longitude) * math.cos(math.radians((one.latitude + other.latitude) / 2))
    return 111.3 * math.hypot(x, one.latitude - other.latitude)


def _parts(
    rng: random.Random, sites: list[Site], count: int, talks: int, use: float, known: dict[tuple[str, str], float],
    loose: float,
) -> tuple[list[Part], list[Talk]]:  # fmt: skip
    """Applications of eight around one site; where each part could be is drawn first, so that all bounds can be kept."""
    left = {site.name: [site.free.cpu_millis, site.free.memory_bytes // 2**20] for site in sites}
    near: dict[str, list[str]] = {site.name: [site.name] for site in sites}
    for a, b in known:
        near[a].append(b)
        near[b].append(a)
    by_name = {site.name: site for site in sites}
    mean = use * sum(site.free.cpu_millis for site in sites) / count
    parts: list[Part] = []
    hidden: dict[str, str] = {}
    middle = ""
    for number in range(count):
        app = number // APP
        wanted = max(100, int(rng.uniform(0.3, 1.7) * mean) // 50 * 50)
        mebibytes = wanted * rng.choice((1, 2, 3)) * 1024 // 1000 // 2
        if number % APP == 0:
            middle = rng.choice(sites).name
        name = _somewhere(rng, near[middle], left, wanted, mebibytes) or _somewhere(
            rng, list(left), left, wanted, mebibytes
        )
        if name is None:
            raise ValueError("the drawn parts do not fit; ask for less use")
        site = by_name[name]
        left[name][0] -= wanted
        left[name][1] -= mebibytes
        part = Part(
            id=f"default/bench/app-{app:03}/c{number % APP}", owner=f"o{app % 7}",
            room=Room(cpu_millis=wanted, memory_bytes=mebibytes * 2**20),
            hint=PlacementHint(str(site.tier).upper()) if rng.random() < 0.3 else None,
        )  # fmt: skip
        parts.append(part)
        hidden[part.id] = name
    return parts, _talks(rng, parts, hidden, talks, known, loose)


def _somewhere(rng: random.Random, names: list[str], left: dict[str, list[int]], cpu: int, mib: int) -> str | None:
    could = [name for name in names if left[name][0] >= cpu and left[name][1] >= mib]
    return rng.choice(could) if could else None


def _talks(
    rng: random.Random, parts: list[Part], hidden: dict[str, str], count: int, known: dict[tuple[str, str], float],
    loose: float,
) -> list[Talk]:  # fmt: skip
    found: list[Talk] = []
    for _ in range(50 * count):
        if len(found) == count:
            break
        app = rng.randrange((len(parts) + APP - 1) // APP)
        members = [part.id for part in parts[APP * app : APP * app + APP]]
        if len(members) < 2:
            continue
        one, other = rng.sample(members, 2)
        latency = 0.5 if hidden[one] == hidden[other] else known.get(key(hidden[one], hidden[other]))
        if latency is not None:
            bound = round(max(2.0, latency * rng.uniform(1.0, 1.0 + loose)), 2)
            found.append(Talk(name=f"t{len(found):04}", members=(one, other), latency_ms=bound))
    return found


def key(one: str, other: str) -> tuple[str, str]:
    """A pair in order."""
    return (one, other) if one < other else (other, one)


def planted(*, sites: int = 100, filled: int = 62, seed: int = 11) -> tuple[Problem, dict[str, str]]:
    """A problem whose best answer is known, and that answer.

    The cheapest sites are filled by their parts to the last hundredth of a CPU, so nothing can be cheaper. Parts of one site
    talk to each other, at 0 ms; others talk within a campus of sites, are kept apart, and no two sites are nearer than those
    of a campus: so nothing can be nearer either. All talks are bounded, by just more than a campus.
    """
    rng = random.Random(seed)
    sizes = [rng.randint(8, 40) * 1000 for _ in range(sites)]
    order = rng.sample(range(sites), sites)
    price = {
        site: rng.uniform(0.02, 0.05) if rank < filled else rng.uniform(0.055, 0.12) for rank, site in enumerate(order)
    }
    names = [f"c{number:03}" for number in range(sites)]
    places = []
    for number, name in enumerate(names):
        room = Room(cpu_millis=sizes[number], memory_bytes=sizes[number] * 4 * 2**20)
        places.append(Site(name=name, free=room, size=room, cost_cpu=price[number], region=f"campus-{number % 20}"))
    paths = []
    for a, b in itertools.combinations(range(sites), 2):
        latency = CAMPUS if a % 20 == b % 20 else round(rng.uniform(8, 60), 1)
        paths.append(Path(a=names[a], b=names[b], latency_ms=latency, measured=True, age_seconds=10))
    parts, hidden = [], {}
    for number in sorted(order[:filled]):
        for wanted in _cuts(rng, sizes[number], rng.choice((2, 3, 3, 4, 4))):
            part = f"default/bench/app/c{len(parts):03}"
            parts.append(Part(id=part, room=Room(cpu_millis=wanted, memory_bytes=wanted * 2**20)))
            hidden[part] = names[number]
    talks, apart = _planted_talks(rng, hidden)
    parts = [msgspec.structs.replace(part, apart_from=tuple(sorted(apart.get(part.id, ())))) for part in parts]
    weights = Weights(latency=1, cost=1, carbon=0, balance=0)
    return Problem(
        sites=tuple(places), parts=tuple(parts), paths=tuple(paths), talks=tuple(talks), weights=weights
    ), hidden


def _cuts(rng: random.Random, size: int, count: int) -> list[int]:
    """A size in so many pieces, none very small."""
    cuts = sorted(rng.sample(range(size // 1000 * 2, size // 100 - size // 1000 * 2, 1), count - 1))
    return [100 * (b - a) for a, b in itertools.pairwise([0, *cuts, size // 100]) if b > a]


def _planted_talks(rng: random.Random, hidden: dict[str, str]) -> tuple[list[Talk], dict[str, set[str]]]:
    on: dict[str, list[str]] = {}
    for part, site in sorted(hidden.items()):
        on.setdefault(site, []).append(part)
    pairs = {pair for parts in on.values() for pair in itertools.combinations(parts, 2)}
    chosen = rng.sample(sorted(pairs), min(len(pairs), TALKS // 2))
    campus: dict[int, list[str]] = {}
    for part, site in sorted(hidden.items()):
        campus.setdefault(int(site[1:]) % 20, []).append(part)
    apart: dict[str, set[str]] = {}
    while len(chosen) < TALKS:
        one, other = rng.sample(rng.choice(list(campus.values())), 2)
        if hidden[one] != hidden[other]:
            chosen.append((one, other))
            apart.setdefault(one, set()).add(other)
    bound = [CAMPUS + 1 if hidden[one] == hidden[other] else 30.0 for one, other in chosen]
    return [Talk(name=f"t{n:03}", members=pair, latency_ms=bound[n]) for n, pair in enumerate(chosen)], apart
