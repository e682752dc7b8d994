"""A made-up continuum to place things on: data centres, edge clusters around them, devices; and applications."""

from __future__ import annotations

import math
import random

from continuo.placement.model import Part, Path, Problem, Room, Site, Talk
from continuo.resources.orchestration_types import PlacementHint, Tier

GIB = 2**30
APP = 8
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
    return Problem(sites=tuple(places), parts=tuple(made), paths=tuple(paths), talks=tuple(linked))


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
