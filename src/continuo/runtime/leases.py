"""Leader election on a Lease: of several replicas one works, and it stops the moment it may no longer be the only one.

Clocks of different machines are not compared: a foreign lease counts as expired when *we* saw it unchanged for its whole
duration. Writes are guarded by the resourceVersion, so two electors cannot both win.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from continuo.kube.port import Cluster
from continuo.resources.errors import AlreadyExists, ApiError, Conflict, NotFound
from continuo.resources.kinds import LEASE
from continuo.resources.meta import Object

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Seconds. A leader gives up `duration - renew_deadline` before another may take over."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.renew_deadline > self.retry > 0:
            raise ValueError("a lease needs duration > renew_deadline > retry > 0")


def micro_time(seconds: float) -> str:
    """An epoch time as Kubernetes' MicroTime."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LeaderElection:
    """One candidate for one Lease."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        namespace: str,
        identity: str,
        *,
        settings: LeaseSettings | None = None,
        rng: random.Random | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.identity = identity
        self.leading = False
        self._cluster, self._name, self._namespace = cluster, name, namespace
        self._settings, self._random, self._now = settings or LeaseSettings(), rng or random.Random(), now
        self._seen: Object | None = None
        self._seen_at = 0.0

    async def run(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Wait for the lease, then work while it lasts.

        Returns True when the work ended by itself (the lease is given back) and False when the lease was lost, in which
        case the work was cancelled and has ended. Raises what the work raised.
        """
        await self._acquire()
        self.leading = True
        log.info("%s leads %s/%s", self.identity, self._namespace, self._name)
        task = asyncio.ensure_future(work())
        renewal = asyncio.create_task(self._renew_until_lost(), name=f"lease {self._name}")
        try:
            await asyncio.wait((task, renewal), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.leading = False
            ended, lost = task.done(), renewal.done()
            task.cancel()
            renewal.cancel()
            await asyncio.gather(task, renewal, return_exceptions=True)
            if not lost:
                await self._release()
        if ended:
            task.result()
            return True
        log.warning("%s lost the lease %s/%s; the work was stopped", self.identity, self._namespace, self._name)
        return False

    async def _acquire(self) -> None:
        # A Lease is asked for in intervals by design: what matters (nobody renewed) is no change that a watch would tell.
        while not await self._try(self._claim):  # noqa: ASYNC110
            await asyncio.sleep(self._settings.retry * (1.0 + 0.2 * self._random.random()))

    async def _renew_until_lost(self) -> None:
        loop, settings = asyncio.get_running_loop(), self._settings
        renewed = loop.time()
        while True:
            await asyncio.sleep(settings.retry)
            try:
                async with asyncio.timeout_at(renewed + settings.renew_deadline):
                    attempt = loop.time()
                    if await self._try(self._claim):
                        renewed = attempt
            except TimeoutError:
                return
            if self._held_by_other() or loop.time() - renewed >= settings.renew_deadline:
                return

    async def _try(self, step: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await step()
        except (Conflict, AlreadyExists):
            return False  # somebody else was quicker
        except ApiError as error:
            log.warning("%s: the lease %s/%s: %s", self.identity, self._namespace, self._name, error)
            return False

    async def _claim(self) -> bool:
        """One attempt to take or keep the lease."""
        if self.leading and self._seen is not None and not self._held_by_other():
            try:
                await self._write(self._seen)  # nobody else writes while we lead: one request is enough
                return True
            except (Conflict, NotFound):
                pass
        try:
            lease = await self._cluster.get(LEASE, self._name, self._namespace)
        except NotFound:
            new = LEASE.new(self._name, self._namespace, spec=self._spec({}))
            self._observe(await self._cluster.create(new))
            return True
        self._observe(lease)
        if self._held_by_other() and not self._expired():
            return False
        await self._write(lease)
        return True

    async def _write(self, lease: Object) -> None:
        self._observe(await self._cluster.replace({**lease, "spec": self._spec(lease.get("spec") or {})}))

    async def _release(self) -> None:
        """Give the lease back, so that the next one need not wait for it to expire."""

        async def step() -> bool:
            lease = await self._cluster.get(LEASE, self._name, self._namespace)
            if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self._cluster.replace({**lease, "spec": spec})
            return True

        await self._try(step)

    def _spec(self, before: dict[str, Any]) -> dict[str, Any]:
        stamp = micro_time(self._now())
        mine = before.get("holderIdentity") == self.identity
        transitions = int(before.get("leaseTransitions") or 0)
        return {
            **before,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._settings.duration)),
            "acquireTime": (before.get("acquireTime") if mine else None) or stamp,
            "renewTime": stamp,
            "leaseTransitions": transitions + (1 if before and not mine else 0),
        }

    def _observe(self, lease: Object) -> None:
        if self._seen is None or self._seen.get("spec") != lease.get("spec"):
            self._seen_at = asyncio.get_running_loop().time()
        self._seen = lease

    def _held_by_other(self) -> bool:
        holder = ((self._seen or {}).get("spec") or {}).get("holderIdentity") or ""
        return holder not in ("", self.identity)

    def _expired(self) -> bool:
        spec = (self._seen or {}).get("spec") or {}
        duration = float(spec.get("leaseDurationSeconds") or self._settings.duration)
        return asyncio.get_running_loop().time() - self._seen_at >= duration
