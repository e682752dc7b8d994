"""A relay that runs: its folder, its listeners, its brokers; and how it ends without losing anything.

What is delivered: at least once, in order for each sensor and target, with a `ce-id` that stays the same for one reading.
What is undelivered at a graceful stop is kept on disk, up to the bounds of `store`; what is in memory when the process is
killed is lost, but for what MQTT brokers have not got an acknowledgement for.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any

import aiohttp

from continuo.edge.listening import Face, Place
from continuo.edge.mqtt.address import Address
from continuo.edge.relay.commands import Broker, Carrier, CloudCore
from continuo.edge.relay.control import Control
from continuo.edge.relay.endpoints import BadRoute
from continuo.edge.relay.intake import Intake, Monitor
from continuo.edge.relay.metrics import figures
from continuo.edge.relay.mqtt import Subscription
from continuo.edge.relay.path import Clock
from continuo.edge.relay.proving import Prover
from continuo.edge.relay.reading import Reading
from continuo.edge.relay.relay import Relay, Settings
from continuo.edge.relay.sources import Doors
from continuo.edge.relay.spool import pack, unpack
from continuo.edge.relay.store import Store
from continuo.telemetry.process import process_metrics
from continuo.trust.identity import Identity
from continuo.trust.ids import Authorize

log = logging.getLogger(__name__)

SPOOL_EVERY = 5.0
"""Seconds between looks at whether all that was on disk is delivered."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a relay is started with."""

    data: File
    ingest: Place = field(default_factory=Place)
    control: Place = field(default_factory=Place)
    monitor: Place | None = None
    ingest_url: str = ""
    """How CloudCore reaches `ingest`; empty: by its own address."""
    mqtt: Sequence[tuple[str | None, Address]] = ()
    """Brokers, each of one node, or None: of all."""
    mqtt_ids: Authorize | None = None
    """Who brokers must prove to be, by their SVIDs; they are shown the relay's. None: brokers have none."""
    cloudcore: str = ""
    """The REST source of CloudCore's router, for commands."""
    managers: Authorize | None = None
    """Who may control it. None, with no identity: whoever connects."""
    control_tls: Mapping[str, Any] = field(default_factory=dict)
    """Options for uvicorn that make the control API require identities."""
    settings: Settings = field(default_factory=Settings)
    drain: float = 10.0
    """Seconds for which a stop waits for targets that take readings."""


class RelayService:
    """Start it, stop it."""

    def __init__(
        self, options: Options, *, clock: Clock | None = None, identity: Identity | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._options = options
        self._store, self._identity = Store(options.data), identity
        instance = secrets.token_hex(6)
        self.relay = Relay(instance, settings=options.settings, clock=clock or Clock(), identity=identity, tls=tls)
        self.subscriptions: list[Subscription] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._faces: list[Face] = []
        self._http: aiohttp.ClientSession | None = None
        self._from_disk: list[Reading] = []
        self.ingest_url = self.control_url = self.monitor_url = ""

    async def start(self) -> None:
        """Deliver what was kept, then listen. OSError where the folder or an address cannot be had."""
        try:
            await asyncio.to_thread(self._store.open)
        except BlockingIOError:
            raise OSError(f"{self._options.data} is in use by another relay; give each its own folder") from None
        try:
            key, name = await asyncio.to_thread(lambda: (self._store.key(), self._store.name()))
            await self._remember()
            self._subscribe(name)
            await self._listen(Doors(key))
        except BaseException:
            await self._close()
            raise

    async def stop(self) -> int:
        """Take no more, deliver for a bounded time, keep the rest on disk; how many readings that were."""
        self.relay.stopping = True
        await self._end_tasks()
        await self._drain()
        undelivered = await self.relay.stop()
        clock = self.relay.clock
        spool, lost = pack(undelivered, self.relay.letters.of(), clock.mono(), clock.wall())
        if lost:
            log.error("%d undelivered readings are more than is kept over a restart; they are lost", lost)
        if spool.waiting:
            await asyncio.to_thread(self._store.save, spool)
        else:
            await asyncio.to_thread(self._store.forget_spool)
        await self._close()
        return len(spool.readings)

    async def __aenter__(self) -> RelayService:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _remember(self) -> None:
        for route in await asyncio.to_thread(self._store.routes):
            try:
                await self.relay.put(route)
            except BadRoute as problem:
                log.error("route %s is kept, but not used: %s", route.name, problem)
        spool = await asyncio.to_thread(self._store.spool)
        if spool is not None:
            self._from_disk = unpack(spool, self.relay)
            self._tasks.append(asyncio.create_task(self._forget_spool()))

    async def _forget_spool(self) -> None:
        while self._from_disk:
            await asyncio.sleep(SPOOL_EVERY)
            self._from_disk = [reading for reading in self._from_disk if reading.holders]
        await asyncio.to_thread(self._store.forget_spool)

    def _subscribe(self, name: str) -> None:
        proved, ids = None, self._options.mqtt_ids
        if self._identity is not None and ids is not None:
            proved = self._identity.client_context(ids)
        for node, broker in self._options.mqtt:
            identifier = f"{name}-{node}" if node else name
            subscription = Subscription(self.relay, broker, identifier, node=node, proved=proved)
            self.subscriptions.append(subscription)
            self._tasks.append(asyncio.create_task(subscription.run()))

    async def _listen(self, doors: Doors) -> None:
        options = self._options
        ingest = await self._face(Intake(self.relay, doors), options.ingest, {})
        self.ingest_url = options.ingest_url or ingest
        control = Control(
            self.relay, self._store, doors,
            ingest=self.ingest_url, managers=options.managers, carrier=self._carrier(),
            prover=Prover(self.relay, self._identity) if self._identity is not None else None,
        )  # fmt: skip
        self.control_url = await self._face(control, options.control, options.control_tls)
        if options.monitor is not None:
            metrics = process_metrics("relay")
            metrics.collect("the routes", lambda: figures(self.relay))
            self.monitor_url = await self._face(Monitor(self.relay, metrics), options.monitor, {})

    def _carrier(self) -> Carrier | None:
        if self._options.cloudcore:
            self._http = aiohttp.ClientSession(trust_env=False)
            return CloudCore(self._options.cloudcore, self._http)
        return Broker(self.subscriptions) if self.subscriptions else None

    async def _face(self, app: Any, place: Place, tls: Mapping[str, Any]) -> str:
        face = Face(app, place, tls)
        await face.start()
        self._faces.append(face)
        return face.url

    async def _drain(self) -> None:
        news = asyncio.Event()
        stop = self.relay.follow(lambda _: news.set())
        try:
            async with asyncio.timeout(self._options.drain):
                while not self.relay.idle:
                    news.clear()
                    await news.wait()
        except TimeoutError:
            log.warning("targets have not taken everything within %g s; the rest is kept", self._options.drain)
        finally:
            stop()

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _close(self) -> None:
        await self._end_tasks()
        await asyncio.gather(*(face.stop() for face in self._faces))
        if self._http is not None:
            await self._http.close()
        self._store.close()
