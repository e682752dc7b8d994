"""When an issuer's keys come and go. Pure: what is there, what time it is, what follows.

A new generation is announced at half of the life of the one in use, and used not before validators can have heard of it.
The old one stays in the bundle until it ends, because what it signed is still about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from continuo.trust.issuer.authority import Authority


@dataclass(frozen=True, slots=True)
class Policy:
    """How long things last."""

    authority: timedelta = timedelta(days=1)
    svid: timedelta = timedelta(hours=1)
    token: timedelta = timedelta(minutes=5)
    hint: timedelta = timedelta(minutes=5)
    """How often federated domains are told to ask for the bundle."""

    def __post_init__(self) -> None:
        if self.svid * 4 > self.authority:
            raise ValueError(
                "SVIDs may live a quarter of their authority's life at most, so that none is cut short by its end"
            )
        if min(self.svid, self.token, self.hint) <= timedelta():
            raise ValueError("lives are longer than nothing")

    @property
    def announce(self) -> timedelta:
        """How long a generation is announced before it is used: three times what bundles are asked for, if there is time."""
        return min(self.hint * 3, self.authority / 8)


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done, and when to look again."""

    kept: tuple[Authority, ...]
    make: datetime | None
    """A new generation is needed, which is used from then on."""
    again: datetime


def due(there: Sequence[Authority], now: datetime, policy: Policy) -> Due:
    """What follows at this moment."""
    kept = tuple(sorted((one for one in there if one.until > now), key=lambda one: one.active_from))
    if not kept:
        return Due((), now, now)
    newest = kept[-1]
    half = newest.since + (newest.until - newest.since) / 2
    if now >= half:
        in_use = any(one.active_from <= now for one in kept)
        return Due(kept, now + policy.announce if in_use else now, now)
    later = [one.active_from for one in kept if one.active_from > now]
    return Due(kept, None, min(half, *later, *(one.until for one in kept)))


def signing(there: Sequence[Authority], now: datetime) -> Authority:
    """The one that signs now: the newest that is more than announced."""
    active = [one for one in there if one.active_from <= now < one.until]
    return max(active, key=lambda one: one.active_from)
