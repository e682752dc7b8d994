"""When what is measured of whom: each provider in tasks of its own, with a bound on what runs at a time.

A check that fails is an answer too, so checks keep their pace whatever happens; what only costs more (transfers, lists)
backs off from a sick provider. A slot is held no longer than a probe's timeout, and failing probes wait for nobody.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from continuo.broker.measurements.publishing import Publisher
from continuo.broker.measurements.resources import resources_of
from continuo.broker.measurements.store import Value
from continuo.broker.measurements.uptime import WINDOWS
from continuo.kube.port import Cluster
from continuo.probing.client import Endpoint, ProbeFailed, Prober, ProbeRefused
from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.runtime.backoff import Backoff

log = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often, and how much. A record counts until the fourth measurement in a row would be missing."""

    check: float = 30.0
    bandwidth: float = 1800.0
    resources: float = 300.0
    samples: int = 10
    bytes: int = 4 * 1024 * 1024
    jitter: float = 0.1
    """The share of an interval by which each measurement comes earlier or later."""
    checks: int = 256
    """Checks at a time."""
    transfers: int = 2
    """Transfers at a time: more would measure the broker's own line."""
    lists: int = 8
    """Lists of clusters at a time."""

    def lasts(self, interval: float) -> int:
        """Seconds for which a record of this interval counts."""
        return max(1, math.ceil(4 * interval))


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to measure, and how it is reached; without an endpoint or a cluster what needs it is not measured."""

    provider: str
    endpoint: Endpoint | None = None
    cluster: Cluster | None = None


class Runner:
    """Measures targets on a schedule until they are removed."""

    def __init__(
        self,
        prober: Prober,
        publisher: Publisher,
        schedule: Schedule,
        rng: random.Random,
        *,
        sleep: Sleep = asyncio.sleep,
        measured: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._prober, self._publisher, self._schedule = prober, publisher, schedule
        self._rng, self._sleep, self._measured = rng, sleep, measured
        self._measurements = publisher.measurements
        self._targets: dict[str, Target] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._answered: dict[str, float] = {}
        self._checks = asyncio.Semaphore(schedule.checks)
        self._transfers = asyncio.Semaphore(schedule.transfers)
        self._lists = asyncio.Semaphore(schedule.lists)

    async def put(self, target: Target) -> None:
        """Measure it from now on; what is known of how it is reached may change."""
        if self._targets.get(target.provider) == target:
            return
        await self.remove(target.provider)
        self._targets[target.provider] = target
        plan = self._schedule
        works: list[tuple[float, bool, Callable[[Target], Awaitable[bool]]]] = []
        if target.endpoint is not None:
            works += [(plan.check, False, self.check), (plan.bandwidth, True, self.bandwidth)]
        if target.cluster is not None:
            works.append((plan.resources, True, self.resources))
        self._tasks[target.provider] = [
            asyncio.create_task(self._every(target, *work), name=f"measure {target.provider}") for work in works
        ]

    def target(self, provider: str) -> Target | None:
        """How it is measured now."""
        return self._targets.get(provider)

    async def remove(self, provider: str) -> None:
        """Measure it no more; what was measured stays until it is stale."""
        self._targets.pop(provider, None)
        self._answered.pop(provider, None)
        tasks = self._tasks.pop(provider, [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Measure nobody any more."""
        for provider in list(self._targets):
            await self.remove(provider)

    async def check(self, target: Target) -> bool:
        """Whether it answers, and how quickly."""
        assert target.endpoint is not None
        values: list[Value] = []
        async with self._checks:
            try:
                found = await self._prober.latency(target.endpoint, self._schedule.samples)
            except ProbeRefused as error:
                log.warning("%s", error)
                return False
            except ProbeFailed as error:
                log.info("%s", error)
                if self._alone(target.provider):
                    return False
                await self._measurements.check(target.provider, self._measurements.clock(), False)
            else:
                self._answered[target.provider] = self._measurements.clock()
                await self._measurements.check(target.provider, self._measurements.clock(), True)
                of = {
                    "latency": found.median,
                    "latency_p95": found.p95,
                    "latency_p99": found.p99,
                    "jitter": found.jitter,
                }
                values = [self._value(target, name, number, "ms", found.samples) for name, number in of.items()]
        await self._keep(target, values + self._uptimes(target))
        return bool(values)

    async def bandwidth(self, target: Target) -> bool:
        """How much goes through in each direction."""
        assert target.endpoint is not None
        async with self._transfers:
            try:
                found = await self._prober.bandwidth(target.endpoint, self._schedule.bytes)
            except ProbeFailed as error:
                log.info("%s", error)
                return False
        every = self._schedule.bandwidth
        of = {"bandwidth_down": found.down, "bandwidth_up": found.up}
        await self._keep(target, [self._value(target, name, mbit, "Mbit/s", 1, every) for name, mbit in of.items()])
        return True

    async def resources(self, target: Target) -> bool:
        """What its cluster has, and what of it is free."""
        assert target.cluster is not None
        async with self._lists:
            try:
                nodes = await target.cluster.list(kinds.NODE)
                pods = await target.cluster.list(kinds.POD)
            except ApiError as error:
                log.info("the resources of %s cannot be seen: %s", target.provider, error)
                return False
        every, found = self._schedule.resources, resources_of(nodes.items, pods.items)
        await self._keep(target, [self._value(target, name, *value, 1, every) for name, value in found.items()])
        return True

    def _alone(self, provider: str) -> bool:
        """Nobody else answers either: then it is the broker that is cut off, and knows nothing of anybody."""
        since = self._measurements.clock() - 3 * self._schedule.check
        others = [name for name, target in self._targets.items() if target.endpoint is not None and name != provider]
        return len(others) >= 2 and not any(self._answered.get(name, 0.0) >= since for name in others)

    def _uptimes(self, target: Target) -> list[Value]:
        now, checks = self._measurements.clock(), self._measurements.checks(target.provider)
        found = []
        for metric, window in WINDOWS.items():
            up = checks.uptime(now, window, self._schedule.check)
            if up is not None:
                value = self._value(target, metric, up.share, "1", up.checks, coverage=up.coverage)
                found.append(value)
        return found

    def _value(
        self, target: Target, metric: str, number: float, unit: str, samples: int,
        every: float | None = None, coverage: float = 1.0,
    ) -> Value:  # fmt: skip
        lasts = self._schedule.lasts(self._schedule.check if every is None else every)
        return Value(target.provider, metric, number, unit, self._measurements.clock(), lasts, samples, coverage)

    async def _keep(self, target: Target, values: list[Value]) -> None:
        if values:
            await self._publisher.add(values)
            self._measured(target.provider)

    async def _every(
        self, target: Target, interval: float, careful: bool, work: Callable[[Target], Awaitable[bool]]
    ) -> None:
        """Do it again and again; the first time somewhere within an interval, so that not all begin together."""
        backoff = Backoff(base=interval, cap=max(8 * interval, 3600.0), jitter=self._schedule.jitter)
        failures = 0
        await self._sleep(self._rng.random() * min(interval, 30.0))
        while True:
            ok, started = False, self._measurements.clock()
            try:
                ok = await work(target)
            except Exception:
                log.exception("measuring %s failed; it is tried again", target.provider)
            failures = 0 if ok else failures + 1
            if careful and failures:
                await self._sleep(backoff.delay(failures, self._rng))
                continue
            pause = interval * (1 + self._schedule.jitter * (2 * self._rng.random() - 1))
            taken = (
                self._measurements.clock() - started
            )  # else a slow failure would be counted less often than a success
            await self._sleep(min(pause, max(0.0, pause - taken)))
