"""The prober of a cluster's links: measures what comes over each of them, rarely, and writes it where the operator looks.

Each end measures what it receives, so that a direction is measured once. Its key is made at its start and never leaves its
memory. What it found is read back at a start: a prober that is restarted again and again causes no more traffic.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from continuo.kube.port import Cluster
from continuo.probing.client import Endpoint, ProbeFailed, Prober
from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object
from continuo.resources.probing import (
    EVERY,
    MEASURED,
    PEERS,
    SELECT_PROBERS,
    Failure,
    Measurement,
    Peer,
    Told,
    read_peers,
    read_told,
    told_data,
)
from continuo.runtime.backoff import Backoff
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)

SIZES = (256 << 10, 1 << 20, 4 << 20, 16 << 20)
"""Bytes of the transfers of one measurement: the next one only where this one was over too soon to tell anything."""
LONG_ENOUGH = 0.5
"""Seconds: the transfer that takes so long is the measurement."""
SPREAD = 0.1
"""So much earlier or later, as a part of the interval, so that the ends of a link do not keep meeting."""
FIRST = 5.0
RETRY = 5.0
"""Seconds: at most so long until the first measurement of a new peer; and until the first retry of one that failed."""
MANAGER = "continuo-prober"


@dataclass(frozen=True, slots=True)
class Here:
    """Where a prober is."""

    namespace: str
    probe: str
    """The name that tokens for its agent are for."""
    address: str
    """Of its pod."""
    port: int


async def receive(prober: Prober, endpoint: Endpoint) -> tuple[int, int]:
    """What comes from there: (bits in a second, bytes of the transfer that told). Raises ProbeFailed."""
    megabits, size = 0.0, 0
    for size in SIZES:
        megabits = await prober.download(endpoint, size)
        if 8 * size >= LONG_ENOUGH * megabits * 1e6:
            break
    return int(megabits * 1e6), size


class LinkProber:
    """Measures the links of one cluster, one after the other."""

    def __init__(
        self, cluster: Cluster, here: Here, prober: Prober, private: Ed25519PrivateKey, clock: Callable[[], float],
        rng: random.Random, *, every: float = EVERY,
    ) -> None:  # fmt: skip
        self._cluster, self._here, self._prober = cluster, here, prober
        self._clock, self._rng, self._every = clock, rng, every
        self._told = Told(
            key=base64.b64encode(private.public_key().public_bytes_raw()).decode(), address=here.address, port=here.port
        )
        self._peers: dict[str, Peer] = {}
        self._due: dict[str, float] = {}
        self._failed: dict[str, int] = {}
        """How often in a row."""
        self._retry, self._telling, self._refused = Backoff(base=RETRY, cap=every), Backoff(base=1.0), 0
        self._changed = asyncio.Event()
        self._untold = True
        self._informer = Informer(cluster, Watch(kinds.CONFIG_MAP, here.namespace, SELECT_PROBERS), rng=rng)

    def keys(self) -> list[bytes]:
        """The public keys of the peers: whom the agent answers."""
        return [base64.b64decode(peer.key) for peer in self._peers.values()]

    async def run(self) -> None:
        """Measure until cancelled."""
        self._informer.start()
        try:
            await self._informer.synced.wait()
            self._recall()
            self._informer.on_change(self._on_change)
            while True:
                self._changed.clear()
                wait = await self._tell() if self._untold else None
                wait = await self._step() if wait is None else wait
                await self._pause(wait)
        finally:
            await self._informer.stop()

    # --- what it is told --------------------------------------------------------------------------------------------

    def _recall(self) -> None:
        """Take over what was measured before this start."""
        try:
            before = read_told(self._informer.cache.get((self._here.namespace, MEASURED)))
        except ValueError as error:
            log.warning("what was measured before cannot be read, and is measured anew: %s", error)
            return
        if before is not None:
            self._told = replace(self._told, links=before.links, failures=before.failures)

    def _on_change(self, _: Object | None, new: Object | None) -> None:
        name = new["metadata"]["name"] if new is not None else None
        if name == PEERS:
            self._take(new)
        elif name == MEASURED and ((new or {}).get("data") or {}) != told_data(self._told):
            self._untold = True  # somebody emptied it, or wrote into it
        self._changed.set()

    def _take(self, obj: Object | None) -> None:
        try:
            peers = {peer.name: peer for peer in read_peers(obj)}
            for peer in peers.values():
                base64.b64decode(peer.key, validate=True)
        except ValueError as error:
            log.warning("ConfigMap %s/%s is not understood: %s", self._here.namespace, PEERS, error)
            return
        now = self._clock()
        for name in peers.keys() - self._due.keys():
            known = self._told.links.get(name)
            self._due[name] = self._next(min(known.at, now)) if known else now + self._rng.uniform(0, FIRST)
        for name in self._due.keys() - peers.keys():
            del self._due[name]
            self._failed.pop(name, None)
        self._peers = peers
        links = {name: found for name, found in self._told.links.items() if name in peers}
        failures = {name: found for name, found in self._told.failures.items() if name in peers}
        if (links, failures) != (self._told.links, self._told.failures):
            self._told, self._untold = replace(self._told, links=links, failures=failures), True

    def _next(self, after: float) -> float:
        return after + self._every * self._rng.uniform(1 - SPREAD, 1 + SPREAD)

    # --- what it does -----------------------------------------------------------------------------------------------

    async def _step(self) -> float | None:
        """Measure the link that is due first; seconds until there is something to do, None: until something changes."""
        if not self._due:
            return None
        name = min(self._due, key=lambda each: (self._due[each], each))
        wait = self._due[name] - self._clock()
        if wait > 0:
            return wait
        await self._measure(self._peers[name])
        self._untold = True
        return 0.0

    async def _measure(self, peer: Peer) -> None:
        links, failures = dict(self._told.links), dict(self._told.failures)
        try:
            bps, size = await receive(self._prober, Endpoint(peer.url, peer.probe))
        except ProbeFailed as error:
            self._failed[peer.name] = self._failed.get(peer.name, 0) + 1
            now = self._clock()
            failures[peer.name] = Failure(message=str(error), at=now)
            due = now + self._retry.delay(self._failed[peer.name], self._rng)
            log.warning("%s: %s", peer.name, error)
        else:
            self._failed.pop(peer.name, None)
            failures.pop(peer.name, None)
            now = self._clock()
            links[peer.name] = Measurement(bps=bps, at=now, bytes=size)
            due = self._next(now)
            log.info("%s: %d bit/s by %d bytes", peer.name, bps, size)
        if peer.name in self._due:  # else it went meanwhile
            self._due[peer.name] = due
            self._told = replace(self._told, links=links, failures=failures)

    async def _tell(self) -> float | None:
        """Write what is known; seconds to wait where that failed."""
        told = self._told
        try:
            await self._cluster.patch(
                kinds.CONFIG_MAP, MEASURED, {"data": told_data(told)}, self._here.namespace, manager=MANAGER
            )
        except ApiError as error:
            log.warning("ConfigMap %s/%s cannot be written: %s", self._here.namespace, MEASURED, error)
            self._refused += 1
            return self._telling.delay(self._refused, self._rng)
        self._refused = 0
        self._untold = told is not self._told
        return None

    async def _pause(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
