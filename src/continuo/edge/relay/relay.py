"""The relay: takes readings, knows who bought them, hands each to the paths that lead there. No I/O of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from continuo.edge.relay.endpoints import Endpoint, check
from continuo.edge.relay.gate import Gate
from continuo.edge.relay.headers import common
from continuo.edge.relay.lanes import Entry
from continuo.edge.relay.letters import Letter, Letters
from continuo.edge.relay.model import Delivered, Flow, Heard, Route, RouteStatus, Scheme, Source, Target
from continuo.edge.relay.pace import Bucket, Patience
from continuo.edge.relay.path import Clock, Limits, Path
from continuo.edge.relay.reading import Memory, Reading, Stamp, rfc3339, stamp
from continuo.edge.relay.sources import Doubles
from continuo.edge.relay.wire import TlsContext
from continuo.trust.delegation import Delegation
from continuo.trust.identity import Identity
from continuo.trust.ids import parse_id


class NotSold(Exception):
    """A reading that nobody has bought."""


@dataclass(slots=True)
class Totals:
    """Sums over everything, since the start."""

    readings: int = 0
    bytes: int = 0
    doubled: int = 0
    """Came before, by another way."""
    unsold: int = 0
    thinned: int = 0
    """Readings that a flow had no rate left for."""
    unproven: int = 0
    """Readings that a flow did not let pass, since nobody has proved to speak for their device."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a relay keeps to."""

    patience: Patience = field(default_factory=Patience)
    limits: Limits = field(default_factory=Limits)
    memory: int = 256 * 1024 * 1024
    """Bytes of all readings that wait."""
    routes: int = 10_000
    require_delegation: bool = False
    """Deliver only what is of devices for which a gateway has proved a delegation."""
    denied: frozenset[str] = frozenset()
    """Devices whose readings are never delivered."""


class LiveFlow:
    """One sensor of a route, with what came of it."""

    __slots__ = ("bucket", "flow", "last", "live", "received", "since", "unproven")

    def __init__(self, flow: Flow, live: Live, since: float) -> None:
        self.flow, self.live, self.since = flow, live, since
        self.bucket = Bucket(flow.max_rate)
        self.received = self.unproven = 0
        self.last: float | None = None
        """When the last reading came: seconds since 1970."""


class Live:
    """A route, and what runs for it."""

    __slots__ = ("flows", "paths", "received", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.received = 0
        self.flows: dict[str, LiveFlow] = {}
        self.paths: dict[str, Path] = {}

    def status(self, mono: float, wall: float, gate: Gate) -> RouteStatus:
        """How it goes."""
        heard = [
            Heard(
                sensor=sensor, received=flow.received, last_received=None if flow.last is None else rfc3339(flow.last),
                silent=round(max(0.0, mono - flow.since if flow.last is None else wall - flow.last), 3),
                unproven=flow.unproven, trouble=gate.trouble(flow.flow.device),
            )
            for sensor, flow in self.flows.items()
        ]  # fmt: skip
        last = max((flow.last for flow in self.flows.values() if flow.last is not None), default=None)
        return RouteStatus(
            name=self.route.name, received=self.received, last_received=None if last is None else rfc3339(last),
            flows=tuple(heard), targets=tuple(_delivered(path) for path in self.paths.values()),
            unproven=sum(flow.unproven for flow in heard), trouble=_trouble(heard),
        )  # fmt: skip


def _trouble(heard: list[Heard]) -> str:
    held = [flow for flow in heard if flow.trouble]
    if not held:
        return ""
    more = f" (and those of {len(held) - 1} more)" if len(held) > 1 else ""
    return f"readings of sensor {held[0].sensor} are not delivered{more}: {held[0].trouble}"


def _delivered(path: Path) -> Delivered:
    figures = path.figures
    p50, p99 = figures.latencies.percentiles(0.5, 0.99)
    last = figures.last_delivered
    return Delivered(
        url=path.shown, delivered=figures.delivered, bytes=figures.bytes, failed=figures.failed, dead=figures.dead,
        queued=len(path.lanes), dropped=figures.dropped, p50=p50, p99=p99,
        last_delivered=None if last is None else rfc3339(last), trouble=figures.trouble,
    )  # fmt: skip


class Relay:
    """All routes. Everything here happens in one event loop."""

    def __init__(
        self, instance: str, *, settings: Settings, clock: Clock,
        identity: Identity | None = None, tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        """`instance` differs at each start; `tls` verifies the targets' certificates where no identity is asked for."""
        self.instance, self.settings, self.clock = instance, settings, clock
        self.letters, self.totals, self.memory = Letters(), Totals(), Memory()
        self.routes: dict[str, Live] = {}
        self._identity, self._tls = identity, tls
        self._sources: dict[Source, list[LiveFlow]] = {}
        self._nodes: dict[tuple[str, str], set[Source]] = {}
        self._devices: dict[str, set[LiveFlow]] = {}
        self._doubles = Doubles()
        self.gate = Gate(clock.wall, required=settings.require_delegation, denied=settings.denied)
        self._followers: set[Callable[[str], None]] = set()
        self._sequence = int(clock.wall() * 1e6)
        self._sources_changed: set[Callable[[], None]] = set()
        self.stopping = False
        if identity is not None:
            identity.changes.subscribe(self._identity_changed)

    # routes

    def check(self, route: Route) -> dict[str, Endpoint]:
        """The route's endpoints; BadRoute where it cannot be taken."""
        return check(route, own_identity=self._identity is not None)

    async def put(self, route: Route) -> bool:
        """Deliver by this route from now on; what waits for targets that stay is kept. Whether anything changed."""
        endpoints = self.check(route)
        live = self.routes.get(route.name)
        if live is not None and live.route == route:
            return False
        if live is None:
            live = self.routes[route.name] = Live(route)
        live.route = route
        self._put_flows(live)
        gone = [live.paths.pop(url) for url in list(live.paths) if url not in endpoints]
        for target in route.targets:
            self._put_path(live, target, endpoints[target.url])
        sensors = frozenset(flow.sensor for flow in route.flows)
        for path in live.paths.values():
            path.figures.dropped += len(path.lanes.keep(sensors))
        self._tell_sources()
        self._changed(route.name)
        await asyncio.gather(*(path.discard() for path in gone))
        return True

    async def delete(self, name: str) -> bool:
        """Deliver nothing by this route any more, also not what waits. Whether there was one."""
        live = self.routes.pop(name, None)
        if live is None:
            return False
        for flow in live.flows.values():
            self._unlist(flow)
        self._tell_sources()
        self._changed(name)
        await asyncio.gather(*(path.discard() for path in live.paths.values()))
        self.letters.forget(name)
        return True

    def sources_at(self, namespace: str, node: str) -> Iterable[Source]:
        """All sources of a node that somebody has bought."""
        return self._nodes.get((namespace, node), ())

    def sources(self) -> Iterable[Source]:
        """All sources that somebody has bought."""
        return self._sources.keys()

    def on_sources(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call it when other sources are bought than before; the answer ends that."""
        self._sources_changed.add(callback)
        return partial(self._sources_changed.discard, callback)

    # readings

    def accept(self, source: Source, body: bytes, way: str) -> None:
        """A reading has come; it is queued for all who bought it when this returns. NotSold: nobody has."""
        flows = self._sources.get(source)
        if not flows:
            self.totals.unsold += 1
            raise NotSold(f"nobody has bought what comes of {source.topic} at {source.node}")
        said, now = stamp(body), self.clock.mono()
        if self._doubles.known(source, body, way, numbered=said.numbered, now=now):
            self.totals.doubled += 1
            return
        wall = self.clock.wall()
        self._sequence += 1
        claimed: dict[bytes, Reading] = {}
        self.totals.readings += 1
        self.totals.bytes += len(body)
        for flow in flows:
            flow.received += 1
            flow.last = wall
            flow.live.received += 1
            claim = self.gate.claim(flow.flow.device)
            if claim is None:
                flow.unproven += 1
                self.totals.unproven += 1
            elif flow.bucket.take(wall if said.time is None else said.time):
                reading = claimed.get(claim)
                if reading is None:  # one for all, as long as its buyers are told of the same device
                    reading = claimed[claim] = self._reading(source, body, said, now, wall, claim).hold()
                for path in flow.live.paths.values():
                    path.add(reading, flow.flow.sensor)
            else:
                self.totals.thinned += 1
            self._changed(flow.live.route.name)
        for reading in claimed.values():
            reading.release()
        if self.memory.bytes > self.settings.memory:
            self._shed()

    def resume(self, reading: Reading, route: str, url: str, sensor: str, attempts: int = 0) -> bool:
        """Queue again what an earlier run, or a dead letter, had kept; whether it still has somewhere to go."""
        live = self.routes.get(route)
        path = live.paths.get(url) if live is not None else None
        if live is None or path is None or sensor not in live.flows:
            return False
        path.add(reading, sensor, attempts)
        self._changed(route)
        return True

    def replay(self, route: str) -> tuple[int, int]:
        """Send a route's dead letters once more, behind what waits: how many, and how many have nowhere to go any more."""
        sent = lost = 0
        now = self.clock.mono()
        for letter in self.letters.take(route):
            reading = letter.reading
            fresh = Reading(
                reading.source, reading.body, now, reading.time, reading.identity, reading.sequence, self.memory
            )
            fresh.common = reading.common
            if self.resume(fresh, route, letter.url, letter.sensor):
                sent += 1
            else:
                lost += 1
            reading.release()
        return sent, lost

    # who speaks for devices

    def vouch(self, found: Delegation) -> None:
        """Let a gateway speak for a device, as it has proved that it may. Raises BadDelegation."""
        if self.gate.take(found):
            self._tell_of(str(found.device))

    def _tell_of(self, device: str) -> None:
        for name in {flow.live.route.name for flow in self._devices.get(device, ())}:
            self._changed(name)

    # what is told of it

    def status(self, name: str) -> RouteStatus | None:
        """How a route is doing; None: there is none of this name."""
        live = self.routes.get(name)
        return None if live is None else live.status(self.clock.mono(), self.clock.wall(), self.gate)

    def follow(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call it with the name of each route of which there is news, often; the answer ends that."""
        self._followers.add(callback)
        return partial(self._followers.discard, callback)

    @property
    def idle(self) -> bool:
        """Whether everything is delivered, but for what waits for targets in trouble."""
        return all(not path.lanes or path.stuck for live in self.routes.values() for path in live.paths.values())

    async def stop(self) -> list[tuple[str, str, Entry]]:
        """End; returns what was not delivered: route, URL, entry, each still holding its reading."""
        self.stopping = True
        paths = [(live.route.name, url, path) for live in self.routes.values() for url, path in live.paths.items()]
        left = await asyncio.gather(*(path.stop() for _, _, path in paths))
        return [(name, url, entry) for (name, url, _), entries in zip(paths, left, strict=True) for entry in entries]

    # within

    def _reading(
        self, source: Source, body: bytes, said: Stamp, now: float, wall: float, claim: bytes
    ) -> Reading:  # fmt: skip
        identity = f"{self.instance}-{self._sequence}"
        time = wall if said.time is None else said.time
        reading = Reading(source, body, now, time, identity, self._sequence, self.memory)
        reading.common = common(reading, said.content_type) + claim
        return reading

    def _put_flows(self, live: Live) -> None:
        wanted = {flow.sensor: flow for flow in live.route.flows}
        for sensor in [name for name, flow in live.flows.items() if wanted.get(name) != flow.flow]:
            self._unlist(live.flows.pop(sensor))
        for sensor, flow in wanted.items():
            if sensor not in live.flows:
                fresh = live.flows[sensor] = LiveFlow(flow, live, self.clock.mono())
                self._sources.setdefault(flow.source, []).append(fresh)
                self._nodes.setdefault((flow.source.namespace, flow.source.node), set()).add(flow.source)
                self._devices.setdefault(flow.device, set()).add(fresh)

    def _unlist(self, flow: LiveFlow) -> None:
        source, device = flow.flow.source, flow.flow.device
        self._devices[device].discard(flow)
        if not self._devices[device]:
            del self._devices[device]
        self._sources[source].remove(flow)
        if not self._sources[source]:
            del self._sources[source]
            at = (source.namespace, source.node)
            self._nodes[at].discard(source)
            if not self._nodes[at]:
                del self._nodes[at]

    def _put_path(self, live: Live, target: Target, endpoint: Endpoint) -> None:
        path = live.paths.get(target.url)
        if path is not None:
            if path.target != target:
                path.reconfigure(target, endpoint, self._context(target, endpoint))
            return
        name = live.route.name
        live.paths[target.url] = Path(
            target, endpoint, self._context(target, endpoint),
            patience=self.settings.patience, limits=self.settings.limits, clock=self.clock,
            given_up=partial(self._given_up, name, target.url), changed=partial(self._changed, name),
        )  # fmt: skip

    def _context(self, target: Target, endpoint: Endpoint) -> TlsContext | None:
        if not endpoint.tls:
            return None
        if target.authentication.scheme is Scheme.SPIFFE and self._identity is not None:
            theirs = parse_id(target.authentication.spiffe_id)
            context = self._identity.client_context(lambda peer: peer == theirs)
            return lambda: context
        if self._tls is None:
            self._tls = ssl.create_default_context()
        context = self._tls
        return lambda: context

    def _given_up(self, route: str, url: str, entry: Entry, why: str) -> None:
        if route in self.routes:
            letter = Letter(route, url, entry.sensor, entry.reading, why, entry.attempts, self.clock.wall())
            self.letters.add(letter)

    def _shed(self) -> None:
        """Too much waits: whoever has most of it loses the oldest."""
        paths = [path for live in self.routes.values() for path in live.paths.values()]
        while self.memory.bytes > self.settings.memory:
            longest = max(paths, key=lambda path: path.lanes.bytes, default=None)
            if longest is None or not longest.shed():
                return

    def _identity_changed(self) -> None:
        assert self._identity is not None
        for device in self.gate.keep(self._identity.bundles):
            self._tell_of(device)
        for live in self.routes.values():
            for path in live.paths.values():
                if path.target.authentication.scheme is Scheme.SPIFFE:
                    path.retire_connections()

    def _changed(self, name: str) -> None:
        for follower in self._followers:
            follower(name)

    def _tell_sources(self) -> None:
        for callback in list(self._sources_changed):
            callback()
