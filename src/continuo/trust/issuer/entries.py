"""Who gets which identity: entries, as SPIRE's registration entries, and which of them a caller matches. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta, Struct

from continuo.trust.delegation import Level
from continuo.trust.ids import SpiffeId, TrustDomain, parse_domain, parse_id


class BadEntry(ValueError):
    """An entry that says nothing sensible; `str()` is one sentence."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A process at the other end of the socket, as the kernel tells it."""

    pid: int
    uid: int
    gid: int
    path: str = field(default="")
    """Its executable; empty when it cannot be seen."""


class Entry(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Either a workload, with what a process must be to get the identity, or a device behind a gateway."""

    spiffe_id: str
    uid: int | None = None
    gid: int | None = None
    path: str | None = None
    ttl: Annotated[int, Meta(ge=10)] | None = None
    """Seconds that its SVIDs live; None: what the issuer's policy says."""
    dns_names: tuple[str, ...] = ()
    federates_with: tuple[str, ...] | None = None
    """The foreign trust domains whose bundles it gets; None: all that there are."""
    gateway: str | None = None
    """A device's: the only workload that may speak for it."""
    level: Level = Level.L0
    device_key: str | None = None
    """A device's public key, PEM, at level L1."""

    @property
    def id(self) -> str:
        """Its name in lists: the same entry has the same one everywhere."""
        said = "|".join(str(part) for part in (self.spiffe_id, self.uid, self.gid, self.path, self.gateway))
        return hashlib.sha256(said.encode()).hexdigest()[:10]

    def matches(self, caller: Caller) -> bool:
        """Whether that process gets this identity: it is all that the entry asks for."""
        if self.gateway is not None:
            return False
        asked = ((self.uid, caller.uid), (self.gid, caller.gid), (self.path, caller.path))
        return all(wanted is None or wanted == found for wanted, found in asked)


def check(entry: Entry, domain: TrustDomain) -> Entry:
    """The same entry; BadEntry (or BadId) when it makes no sense in that trust domain."""
    found = parse_id(entry.spiffe_id)
    if found.trust_domain != domain:
        raise BadEntry(f"{found} is of trust domain {found.trust_domain}; this issuer vouches for {domain} alone")
    for name in entry.federates_with or ():
        parse_domain(name)
    asks = (entry.uid, entry.gid, entry.path)
    if entry.gateway is None:
        if asks == (None, None, None):
            raise BadEntry(
                f"{found} would be given to every process; say which by uid, gid or path, or a device's gateway"
            )
        if entry.device_key is not None or entry.level is not Level.L0:
            raise BadEntry(f"{found} is a workload; keys and levels are for devices, which have a gateway")
        return entry
    return _check_device(entry, found, domain, asks)


def _check_device(entry: Entry, found: SpiffeId, domain: TrustDomain, asks: tuple[object, ...]) -> Entry:
    if parse_id(entry.gateway or "").trust_domain != domain:
        raise BadEntry(f"the gateway of {found} is of another trust domain; it has to be of {domain}")
    if asks != (None, None, None):
        raise BadEntry(
            f"{found} is a device behind a gateway: it runs as no process, so uid, gid and path mean nothing"
        )
    if (entry.level is Level.L1) != (entry.device_key is not None):
        raise BadEntry(f"{found} needs its public key at level L1, and has none at level L0")
    return entry


class Entries:
    """All of them, found by device at once. Immutable: what changes makes a new one."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._all = {entry.id: entry for entry in entries}
        self._devices = {entry.spiffe_id: entry for entry in self._all.values() if entry.gateway is not None}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def matching(self, caller: Caller) -> list[Entry]:
        """What that process gets, what asks for most first."""
        found = [entry for entry in self._all.values() if entry.matches(caller)]
        return sorted(
            found, key=lambda one: (-sum(part is not None for part in (one.uid, one.gid, one.path)), one.spiffe_id)
        )

    def device(self, spiffe_id: str) -> Entry | None:
        """The entry of a device; it has one gateway, never two."""
        return self._devices.get(spiffe_id)
