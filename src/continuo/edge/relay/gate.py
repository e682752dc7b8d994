"""Whose readings may pass: what gateways have proved, for as long as it holds. In memory alone, and without the tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush

from continuo.trust.bundles import Bundles
from continuo.trust.delegation import BadDelegation, Delegation

PER_GATEWAY, MOST = 10_000, 100_000
"""Devices that one gateway, and all together, may speak for."""


@dataclass(frozen=True, slots=True)
class Held:
    """A delegation that holds."""

    delegation: Delegation
    until: float
    """Seconds since 1970."""
    claim: bytes
    """The headers of its device's readings."""


class Gate:
    """All delegations by device. `clock`: seconds since 1970."""

    def __init__(
        self, clock: Callable[[], float], *, required: bool = False, denied: Iterable[str] = (),
        per_gateway: int = PER_GATEWAY, most: int = MOST,
    ) -> None:  # fmt: skip
        self._clock, self.required, self._denied = clock, required, frozenset(denied)
        self._per_gateway, self._most = per_gateway, most
        self._held: dict[str, Held] = {}
        self._ends: list[tuple[float, str]] = []
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many hold."""
        self._expire()
        return len(self._held)

    def take(self, found: Delegation) -> bool:
        """Let a gateway speak for a device, as it has proved that it may; whether nobody did before. Raises BadDelegation."""
        self._expire()
        device, gateway, until = str(found.device), str(found.gateway), found.until.timestamp()
        if device in self._denied:
            raise BadDelegation(f"{device} is on this relay's deny list, whoever speaks for it")
        if until <= self._clock():
            raise BadDelegation(f"the delegation for {device} has expired")
        before = self._held.get(device)
        if before is not None and before.until > until:
            raise BadDelegation(f"a later delegation for {device} has been proved, by {before.delegation.gateway}")
        if before is None or before.delegation.gateway != found.gateway:
            self._room(gateway, new=before is None)
        self._drop(device)
        self._held[device] = Held(found, until, _claim(found))
        self._counts[gateway] += 1
        heappush(self._ends, (until, device))
        if len(self._ends) > 2 * len(self._held) + 64:  # each renewal leaves the end of the one before
            self._ends = sorted((held.until, name) for name, held in self._held.items())
        return before is None or before.claim != self._held[device].claim

    def claim(self, device: str) -> bytes | None:
        """The headers that say who measured and who vouches, empty where nobody does; None: the reading may not pass."""
        if device in self._denied:
            return None
        held = self._held.get(device)
        if held is not None and held.until > self._clock():
            return held.claim
        return None if self.required else b""

    def trouble(self, device: str) -> str:
        """Why the readings of a device may not pass; empty where they may."""
        if self.claim(device) is not None:
            return ""
        if not device:
            return "its Flavor names no device, so that no gateway can prove whom it speaks for"
        if device in self._denied:
            return f"{device} is on the relay's deny list"
        return f"no gateway has proved that it speaks for {device} now"

    def keep(self, bundles: Bundles) -> list[str]:
        """Let go of what was signed by keys that are no longer believed; the devices."""
        gone = [device for device, held in self._held.items() if not held.delegation.still_believed(bundles)]
        for device in gone:
            self._drop(device)
        return gone

    def all(self) -> list[Held]:
        """What holds now."""
        self._expire()
        return list(self._held.values())

    def _room(self, gateway: str, *, new: bool) -> None:
        if self._counts[gateway] >= self._per_gateway:
            raise BadDelegation(f"{gateway} speaks for {self._per_gateway} devices already, which is all it may")
        if new and len(self._held) >= self._most:
            raise BadDelegation(f"this relay knows who speaks for {self._most} devices, and has no room for more")

    def _expire(self) -> None:
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            device = heappop(self._ends)[1]
            held = self._held.get(device)
            if held is not None and held.until <= now:
                self._drop(device)

    def _drop(self, device: str) -> None:
        held = self._held.pop(device, None)
        if held is not None:
            gateway = str(held.delegation.gateway)
            self._counts[gateway] -= 1
            if not self._counts[gateway]:
                del self._counts[gateway]


def _claim(found: Delegation) -> bytes:
    """Extension attributes of CloudEvents; SPIFFE IDs need no encoding in headers."""
    return (
        f"ce-device: {found.device}\r\nce-devicelevel: {found.level.value}\r\nce-gateway: {found.gateway}\r\n"
    ).encode()
