"""A gateway proves to the relay that it speaks for its devices, and goes on proving it before each delegation ends.

The relay keeps what it was shown in memory, so a relay that has started anew is shown everything again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from continuo.edge.relay.model import Proof
from continuo.edge.relay.proving import MOST
from continuo.resources.errors import ApiError
from continuo.trust.gateway import Answer, NoDelegation
from continuo.trust.ids import SpiffeId, parse_id

log = logging.getLogger(__name__)

LOOK = 3.0
"""Seconds between two looks at whether the relay is still the one that was shown everything."""
FIRST, LONGEST = 1.0, 60.0
"""Seconds until a device that was refused is asked for again."""
RELAY_LONGEST = 5.0
"""Seconds until a relay that did not answer is tried again: readings wait for no proof."""
AT_ONCE = 16
"""Delegations that the issuer is asked for at the same time."""


class Issuer(Protocol):
    """Where delegations come from: `trust.gateway.Delegated`."""

    async def token(self, device: SpiffeId, audience: SpiffeId, *, answer: Answer | None = None) -> str:
        """A delegation; NoDelegation says why there is none."""
        ...

    def forget(self, device: SpiffeId, audience: SpiffeId) -> None:
        """Ask anew the next time."""
        ...


class Relay(Protocol):
    """To whom they are shown: `edge.relay.client.RelayClient`."""

    async def instance(self) -> str: ...

    async def prove(self, delegations: list[str]) -> Proof: ...


@dataclass(slots=True)
class _Standing:
    """How it is with one device."""

    answer: Answer | None
    due: float = 0.0
    """When to prove it (again): seconds since 1970."""
    failures: int = 0
    told: str = ""
    """The trouble that was logged last."""


class Vouching:
    """All devices of one gateway, at one relay."""

    def __init__(
        self, devices: Mapping[SpiffeId, Answer | None], issuer: Issuer, relay: Relay, audience: SpiffeId, *,
        clock: Callable[[], float], rng: random.Random,
    ) -> None:  # fmt: skip
        """`devices`: with what lets those sign that have keys of their own. `clock`: seconds since 1970."""
        self._devices = {device: _Standing(answer) for device, answer in devices.items()}
        self._issuer, self._relay, self._audience = issuer, relay, audience
        self._clock, self._rng = clock, rng
        self._instance = self._told = ""
        self.begun = asyncio.Event()
        """Set when every device was tried once."""

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            try:
                await self.prove()
                failures, self._told = 0, ""
            except ApiError as error:
                failures += 1
                if str(error) != self._told:
                    log.warning("devices cannot be vouched for: %s", error)
                    self._told = str(error)
            except Exception:
                failures += 1
                log.exception("vouching for devices failed")
            await asyncio.sleep(self._pause(failures, RELAY_LONGEST) if failures else self._wait())

    async def prove(self) -> None:
        """Show what is due now. Raises ApiError where the relay does not answer."""
        instance = await self._relay.instance()
        if instance != self._instance:
            for standing in self._devices.values():
                standing.due = 0.0
        now = self._clock()
        due = [device for device, standing in self._devices.items() if standing.due <= now]
        for start in range(0, len(due), MOST):
            await self._show(due[start : start + MOST])
        self._instance = instance
        self.begun.set()

    async def _show(self, devices: list[SpiffeId]) -> None:
        turn = asyncio.Semaphore(AT_ONCE)
        tokens = await asyncio.gather(*(self._token(device, turn) for device in devices))
        shown = [(device, token) for device, token in zip(devices, tokens, strict=True) if token is not None]
        if not shown:
            return
        proof = await self._relay.prove([token for _, token in shown])
        for taken in proof.accepted:
            self._well(taken.device, datetime.fromisoformat(taken.until).timestamp())
        for doubted in proof.refused:
            device = shown[doubted.number][0]
            self._issuer.forget(device, self._audience)
            self._ill(device, f"the relay does not take what its gateway shows: {doubted.detail}")

    async def _token(self, device: SpiffeId, turn: asyncio.Semaphore) -> str | None:
        async with turn:
            try:
                return await self._issuer.token(device, self._audience, answer=self._devices[device].answer)
            except NoDelegation as error:
                self._ill(device, str(error))
            except Exception as error:  # what stands for the board could not sign
                self._ill(device, f"it has not answered its challenge: {error!r}")
        return None

    def _well(self, name: str, until: float) -> None:
        standing, now = self._devices[parse_id(name)], self._clock()
        if standing.failures or not standing.due:
            log.info("the relay takes readings of %s", name)
        standing.failures, standing.told = 0, ""
        standing.due = now + max(FIRST, (until - now) / 2)

    def _ill(self, device: SpiffeId, why: str) -> None:
        standing = self._devices[device]
        standing.failures += 1
        standing.due = self._clock() + self._pause(standing.failures)
        if why != standing.told:
            log.warning("nobody vouches for %s: %s", str(device).rpartition("/")[2], why)
            standing.told = why

    def _pause(self, failures: int, longest: float = LONGEST) -> float:
        grown: float = min(longest, FIRST * 2.0 ** min(failures - 1, 10))
        return grown * (0.5 + self._rng.random() / 2)

    def _wait(self) -> float:
        soonest = min((standing.due for standing in self._devices.values()), default=self._clock() + LOOK)
        return min(LOOK, max(0.05, soonest - self._clock()))
