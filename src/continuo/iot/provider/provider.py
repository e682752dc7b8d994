"""The provider: all kinds' controllers in one process, on one cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from prometheus_client.core import Metric

from continuo.iot.provider.addresses import Reach
from continuo.iot.provider.bucket import Bucket
from continuo.iot.provider.configs import Configs, named
from continuo.iot.provider.connections import ConfigName, Connections, ObjectKey
from continuo.iot.provider.decide import Times
from continuo.iot.provider.effects import Effects
from continuo.iot.provider.objects import Objects, config_of, matters, wake_related
from continuo.iot.provider.reconciler import Reconciler, Tools
from continuo.iot.provider.telling import tally
from continuo.iot.provider.usages import Usages
from continuo.iot.provider.world import Driver
from continuo.kube.port import Cluster
from continuo.resources.boards import BOARD
from continuo.resources.meta import Kind, Object, key_of
from continuo.runtime.backoff import Backoff
from continuo.runtime.controller import Controller, Result
from continuo.runtime.events import EventRecorder
from continuo.runtime.informer import Informer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How fast the provider works."""

    times: Times = Times()  # noqa: RUF009 (frozen)
    rate: float = 100.0
    """Looks per second in the long run; ten times as many at once."""
    workers: int = 16
    backoff: Backoff = Backoff(base=1.0, cap=60.0)  # noqa: RUF009 (frozen)
    denied: tuple[str, ...] = ()
    """Networks where nothing is sent to."""


class Provider:
    """Reconciles managed resources until cancelled."""

    def __init__(
        self, cluster: Cluster, drivers: Iterable[Driver[Any]], *, instance: str = "provider",
        settings: Settings | None = None, rng: random.Random | None = None, environ: Mapping[str, str] = os.environ,
    ) -> None:  # fmt: skip
        self._cluster, self._settings, self._instance = cluster, settings or Settings(), instance
        self._random, self._environ = rng or random.Random(), environ
        self.objects = Objects(cluster, drivers)
        self.usages = Usages(cluster)
        self.configs = Configs(cluster, self.objects, lambda: self.connections, time.time)
        self.connections: Connections
        self.controllers: dict[str, Controller[Any]] = {}
        self.ready = asyncio.Event()
        """Set once everything that is there is known, and controllers work."""
        self._published: Informer | None = None
        self._config_controller: Controller[ConfigName] = Controller(
            "configs", self.configs.reconcile, workers=2, backoff=self._settings.backoff, rng=self._random
        )

    async def run(self) -> None:
        """Work until cancelled."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as http:
            effects = self._build(http)
            informers = [
                *self.objects.informers.values(), self.usages.informer, effects.published,
                *self.configs.informers.values(),
            ]  # fmt: skip
            try:
                for informer in informers:
                    informer.start()
                await asyncio.gather(*(informer.synced.wait() for informer in informers))
                await self._work(effects)
            finally:
                await asyncio.gather(*(controller.stop() for controller in self._controllers()))
                await self.connections.stop()
                await asyncio.gather(*(informer.stop() for informer in informers))
                await self._events.stop()

    def trouble(self) -> str:
        """Why it cannot work, in one sentence; empty when it can."""
        for informer in self.objects.informers.values():
            if informer.stale_since is not None:
                return f"{informer.watch.kind.resource} cannot be followed: {informer.last_error}"
        return ""

    def figures(self) -> Iterable[Metric]:
        """Boards and queues, as metrics."""
        boards = self.objects.informers.get(BOARD.plural)
        depths = {controller.name: len(controller.queue) for controller in self._controllers()}
        return tally(boards.cache if boards is not None else (), depths).metrics()

    @property
    def idle(self) -> bool:
        """Nothing is queued, worked on or failing."""
        return all(controller.queue.idle for controller in self._controllers())

    def wake(self, key: ObjectKey) -> None:
        """Something that concerns this object may have changed."""
        controller = self.controllers.get(key[0])
        if controller is not None:
            controller.add(key[1:])

    def _controllers(self) -> list[Controller[Any]]:
        return [*self.controllers.values(), self._config_controller]

    def _build(self, http: aiohttp.ClientSession) -> Effects:
        settings, reach = self._settings, Reach(self._settings.denied)
        effects = Effects(self._cluster, http, self.objects, reach)
        self.connections = Connections(
            http, self.configs.get, effects.secret, self.wake, reach, now=effects.now, poll=lambda: settings.times.poll,
            rng=self._random, environ=self._environ,
        )  # fmt: skip
        self._events = EventRecorder(
            self._cluster, "boards.continuo.dev", self._instance, per_second=50.0, burst=500, rng=self._random
        )
        tools = Tools(
            self._cluster, effects, self.objects, self.connections, self.usages, self._events,
            Bucket(settings.rate, settings.rate * 10, time.monotonic), settings.times, self._random,
        )  # fmt: skip
        for plural, driver in self.objects.drivers.items():
            reconciler = Reconciler(driver, self.objects.informers[plural], tools)
            self.controllers[plural] = Controller(
                plural, reconciler.reconcile, workers=settings.workers, backoff=settings.backoff, rng=self._random
            )
        return effects

    async def _work(self, effects: Effects) -> None:
        self._events.start()
        for plural, informer in self.objects.informers.items():
            informer.on_change(lambda old, new, plural=plural: self._changed(plural, old, new))  # type: ignore[misc]
        for informer in self.configs.informers.values():
            kind = informer.watch.kind
            informer.on_change(lambda old, new, kind=kind: self._config_changed(kind, old, new))  # type: ignore[misc]
        effects.published.on_change(self._secret_changed)
        for controller in self._controllers():
            controller.start()
        self.ready.set()
        await asyncio.Event().wait()

    def _changed(self, plural: str, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        if matters(old, new):
            self.controllers[plural].add(key_of(obj))
        wake_related(self.objects, self.objects.drivers[plural].kind, old, new, self.wake)
        if old is None or new is None or config_of(old) != config_of(new):
            for each in (old, new):
                if each is not None:
                    self._config_controller.add(config_of(each))

    def _config_changed(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        self.configs.changed(kind, old, new)
        if not matters(old, new):
            return
        name = named(kind, obj)
        self._config_controller.add(name)
        for key in self.objects.of_config(name):
            self.wake(key)

    def _secret_changed(self, _old: Object | None, new: Object | None) -> None:
        """A connection Secret that somebody removes is written again."""
        old = _old
        if new is not None or old is None:
            return
        for owner in old["metadata"].get("ownerReferences") or ():
            for plural, driver in self.objects.drivers.items():
                if owner.get("controller") and owner.get("kind") == driver.kind.kind:
                    self.wake((plural, old["metadata"].get("namespace") or "", owner["name"]))


__all__ = ["Provider", "Result", "Settings"]
