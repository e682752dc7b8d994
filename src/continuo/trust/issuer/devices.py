"""Delegations: which gateway may speak for which device, for the next minutes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from continuo.trust.delegation import TYPE, Level, answered, challenge_text
from continuo.trust.ids import BadId, SpiffeId, parse_id
from continuo.trust.issuer.entries import Entries, Entry
from continuo.trust.issuer.generations import signing
from continuo.trust.issuer.issuer import Issuer

_FRESH = timedelta(seconds=60)
_MOST = 10_000


class Refused(Exception):
    """No delegation; `str()` is one sentence."""


class Delegations:
    """Signs for devices that are registered to the gateway that asks."""

    def __init__(self, issuer: Issuer, entries: Callable[[], Entries]) -> None:
        self._issuer = issuer
        self._entries = entries
        self._nonces: dict[bytes, tuple[SpiffeId, SpiffeId, datetime]] = {}

    def challenge(self, gateway: SpiffeId, device: str) -> bytes:
        """What the device is to sign within a minute; Refused unless it is this gateway's, at level L1."""
        entry, name = self._registered(gateway, device)
        if entry.level is not Level.L1:
            raise Refused(f"{name} is known at level {entry.level.value}: it has no key, and is not asked")
        now = self._issuer.clock()
        self._nonces = {nonce: asked for nonce, asked in self._nonces.items() if asked[2] > now}
        if len(self._nonces) >= _MOST:
            raise Refused(f"{_MOST} challenges are open; try again in a minute")
        nonce = secrets.token_bytes(32)
        self._nonces[nonce] = (gateway, name, now + _FRESH)
        return nonce

    def delegate(
        self,
        gateway: SpiffeId,
        device: str,
        audience: str,
        *,
        nonce: bytes = b"",
        session: bytes = b"",
        signature: bytes = b"",
    ) -> str:
        """A delegation for that audience; Refused when the device is not this gateway's, or has not answered. A secret."""
        entry, name = self._registered(gateway, device)
        try:
            parse_id(audience)
        except BadId as error:
            raise Refused(f"the audience of a delegation is whoever it is shown to: {error}") from error
        if entry.level is Level.L1:
            self._check(entry, gateway, name, nonce, session, signature)
        now = self._issuer.clock()
        return signing(self._issuer.authorities, now).token(
            name, [audience], now, self._issuer.policy.token,
            kind=TYPE, act={"sub": str(gateway)}, level=entry.level.value, jti=secrets.token_hex(8),
        )  # fmt: skip

    def _registered(self, gateway: SpiffeId, device: str) -> tuple[Entry, SpiffeId]:
        entry = self._entries().device(device)
        if entry is None or entry.gateway != str(gateway):
            raise Refused(f"{device} is not registered as a device of {gateway}")
        return entry, parse_id(device)

    def _check(
        self, entry: Entry, gateway: SpiffeId, device: SpiffeId, nonce: bytes, session: bytes, signature: bytes
    ) -> None:
        asked = self._nonces.pop(nonce, None)
        if asked is None or asked[:2] != (gateway, device) or asked[2] <= self._issuer.clock():
            raise Refused(f"{device} has to answer a challenge of the last minute, which is used once")
        if not answered(entry.device_key or "", signature, challenge_text(nonce, gateway, device, session)):
            raise Refused(f"{device} has not signed the challenge with the key that is registered for it")
