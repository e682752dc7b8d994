"""The figures of links as they are now: what Liqo measures, what probers told, and how old that is. Pure.

A figure that is too old is shown with its age and promises nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from continuo.orchestrator import naming
from continuo.orchestrator.measuring.names import space_of
from continuo.orchestrator.observe import ClusterSeen, Reach, Snapshot
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration_status import LinkPhase, LinkStatus
from continuo.resources.probing import FRESH, MEASURED, Measurement, Told, read_told
from continuo.telemetry.latency import seconds

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """What is known of one connected link; None is not known."""

    latency: str | None = None
    """The tunnel's last round trip, as Liqo spells it."""
    latency_at: str | None = None
    """When, as Liqo says."""
    jitter_ms: float | None = None
    bandwidth_bps: int | None = None
    """Of the worse direction."""
    bandwidth_at: float | None = None
    """When the older of both directions was measured, in seconds since 1970."""
    bandwidth_age: float | None = None
    """Seconds since then."""
    note: str = ""
    """Why the bandwidth is not known, where a prober tried."""

    @property
    def latency_ms(self) -> float | None:
        """The round trip in milliseconds."""
        return _milliseconds(self.latency)

    @property
    def fresh_bps(self) -> int | None:
        """The bandwidth, as long as its measurement counts."""
        fresh = self.bandwidth_age is not None and self.bandwidth_age <= FRESH
        return self.bandwidth_bps if fresh else None


Figures = Mapping[Pair, LinkFigures]


def figures_of(snapshot: Snapshot, latencies: Mapping[Pair, tuple[str, str | None]], now: float | None) -> Figures:
    """The figures of all connected links; `latencies` are (round trip, when). Without `now` no measurement counts."""
    before = {naming.pair(*entry["clusters"]): entry for entry in _links(snapshot.object)}
    found = {}
    for pair, (latency, at) in latencies.items():
        known = _kept(before.get(pair) or {}, now)
        measured = _measured(snapshot, pair, known, now)
        found[pair] = replace(measured, latency=latency, latency_at=at, jitter_ms=known.jitter_ms)
    return found


def figures_of_status(links: Iterable[LinkStatus], now: float | None) -> Figures:
    """The same from a status alone, for whoever does not see the clusters."""
    return {
        naming.pair(*link.clusters): LinkFigures(
            latency=link.latency, jitter_ms=_milliseconds(link.jitter), bandwidth_bps=link.bandwidth_bps,
            bandwidth_at=_moment(link.bandwidth_measured_at),
            bandwidth_age=_age(_moment(link.bandwidth_measured_at), now),
        )
        for link in links
        if link.phase is LinkPhase.CONNECTED
    }  # fmt: skip


def told_at(at: float) -> str:
    """A time as a status tells it."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def told_of(seen: ClusterSeen | None, key: tuple[str, str]) -> Told | None:
    """What the prober on a cluster told last; raises ValueError where nobody can read it."""
    caches = seen.workload.caches if seen is not None else None
    return read_told(caches.get(kinds.CONFIG_MAP, MEASURED, space_of(key))) if caches is not None else None


def _links(obj: Object) -> Iterable[Object]:
    return (obj.get("status") or {}).get("links") or ()


def _kept(entry: Object, now: float | None) -> LinkFigures:
    """What the status before says."""
    at = _moment(entry.get("bandwidthMeasuredAt"))
    return LinkFigures(
        jitter_ms=_milliseconds(entry.get("jitter")), bandwidth_bps=entry.get("bandwidthBps"), bandwidth_at=at,
        bandwidth_age=_age(at, now),
    )  # fmt: skip


def _measured(snapshot: Snapshot, pair: Pair, known: LinkFigures, now: float | None) -> LinkFigures:
    """The bandwidth: of two directions the worse one. While an end does not answer, what was known before."""
    ends = [snapshot.clusters.get(name) for name in pair]
    if any(seen is None or seen.workload.reach is not Reach.OK for seen in ends):
        return known
    try:
        told = [told_of(seen, snapshot.key) for seen in ends]
    except ValueError as error:
        return LinkFigures(note=f"what a prober of {' or '.join(pair)} wrote cannot be read: {error}")
    directions = [
        said.links.get(peer) if said is not None else None for said, peer in zip(told, reversed(pair), strict=True)
    ]
    both = [one for one in directions if one is not None]
    if len(both) < 2:
        return LinkFigures(note=_why(pair, told))
    return _worse(both, now, _why(pair, told))


def _worse(directions: list[Measurement], now: float | None, note: str) -> LinkFigures:
    at = min(one.at for one in directions)
    age = _age(at, now)
    stale = age is None or age > FRESH
    return LinkFigures(
        bandwidth_bps=min(one.bps for one in directions), bandwidth_at=at, bandwidth_age=age, note=note if stale else ""
    )


def _why(pair: Pair, told: list[Told | None]) -> str:
    """Why the last try of either end failed."""
    for name, said, peer in zip(pair, told, reversed(pair), strict=True):
        failure = said.failures.get(peer) if said is not None else None
        if failure is not None:
            return f"{name} cannot measure it: {failure.message}"
    return ""


def _milliseconds(text: str | None) -> float | None:
    found = seconds(text)
    return None if found is None else round(found * 1000, 6)  # 9 ms are no more than 9 ms


def _moment(text: str | None) -> float | None:
    try:
        return datetime.datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None  # somebody else wrote the status; what is no time tells nothing


def _age(at: float | None, now: float | None) -> float | None:
    return None if at is None or now is None else max(0.0, now - at)
