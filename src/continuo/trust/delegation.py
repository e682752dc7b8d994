"""Who may speak for a device that cannot do TLS: its gateway, with a delegation that the issuer signed.

A delegation is a JWT: `sub` is the device, `act.sub` the gateway, `aud` who it is shown to. It lives for minutes and is
worth nothing to anybody but the gateway: it counts only over a connection on which that ID has been proved by an SVID.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from continuo.trust.bundles import Bundles
from continuo.trust.identity import Peer
from continuo.trust.ids import SpiffeId


class Level(StrEnum):
    """How well a device is known."""

    L0 = "L0"
    """The gateway says so: by address, model and unique ID."""
    L1 = "L1"
    """The device has answered a challenge with its own key."""


class BadDelegation(ValueError):
    """A token that does not let this peer speak for a device; `str()` is one sentence, without the token."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """What a valid token says."""

    device: SpiffeId
    gateway: SpiffeId
    level: Level
    until: datetime


def verify_delegation(token: str, peer: Peer, bundles: Bundles, now: datetime, *, audience: SpiffeId) -> Delegation:
    """What `peer` (the proved other end of the connection) may say for which device; BadDelegation when nothing."""
    raise NotImplementedError("follows within the hour")
