"""Who may speak for a device that cannot do TLS: its gateway, with a delegation that the issuer signed.

A delegation is a JWT: `sub` is the device, `act.sub` the gateway, `aud` who it is shown to. It lives for minutes and is
worth nothing to anybody but the gateway: it counts only over a connection on which that ID has been proved by an SVID.
Its header says `delegation+jwt`, so nobody takes it for a JWT-SVID of the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from continuo.trust.bundles import Bundles
from continuo.trust.identity import Peer
from continuo.trust.ids import BadId, SpiffeId, parse_id
from continuo.trust.tokens import BadToken, verify_jwt

TYPE = "delegation+jwt"
_CONTEXT = b"continuo device challenge 1\0"


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
    key: str = ""
    """The `kid` in its trust domain's bundle that has signed it: when that is withdrawn, so is what it says."""

    def still_believed(self, bundles: Bundles) -> bool:
        """Whether the key that has signed it still counts."""
        return self.key in bundles.jwt.get(self.device.trust_domain, {})


def verify_delegation(token: str, peer: Peer, bundles: Bundles, now: datetime, *, audience: SpiffeId) -> Delegation:
    """What `peer` (the proved other end of the connection) may say for which device; BadDelegation when nothing."""
    try:
        found = verify_jwt(token, audience, bundles, now, kinds=(TYPE,))
        act = found.claims.get("act")
        gateway = parse_id(str(act.get("sub", ""))) if isinstance(act, dict) else None
        level = Level(str(found.claims.get("level")))
    except (BadToken, BadId, ValueError) as error:
        raise BadDelegation(f"the delegation is not accepted: {error}") from None
    if gateway is None:
        raise BadDelegation("the delegation is not accepted: it names no gateway that acts for the device")
    if gateway.trust_domain != found.subject.trust_domain:
        raise BadDelegation(
            f"the delegation is not accepted: {gateway} and {found.subject} are of different trust domains"
        )
    if gateway != peer.spiffe_id:
        raise BadDelegation(f"the delegation is {gateway}'s, and {peer.spiffe_id} has shown it")
    return Delegation(found.subject, gateway, level, found.until, found.key)


def challenge_text(nonce: bytes, gateway: SpiffeId, device: SpiffeId, session: bytes = b"") -> bytes:
    """What a device of level L1 signs: fresh, for this gateway and itself, and for the link's session where there is one."""
    parts = (nonce, str(gateway).encode(), str(device).encode(), session)
    return _CONTEXT + b"".join(len(part).to_bytes(2, "big") + part for part in parts)


class DeviceKey:
    """A device's own key, P-256, in software: what a secure element does on a board."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self._key = key or ec.generate_private_key(ec.SECP256R1())

    @classmethod
    def read(cls, pem: bytes) -> DeviceKey:
        """From PEM without a password; ValueError where that is no private key on an elliptic curve."""
        try:
            key = serialization.load_pem_private_key(pem, None)
        except TypeError:
            raise ValueError("the key has a password") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("it is no key on an elliptic curve")
        return cls(key)

    @property
    def public_pem(self) -> str:
        """What is registered."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def answer(self, nonce: bytes, gateway: SpiffeId, device: SpiffeId, session: bytes = b"") -> bytes:
        """The signature (DER) over a challenge."""
        return self._key.sign(challenge_text(nonce, gateway, device, session), ec.ECDSA(hashes.SHA256()))


def answered(public_pem: str, signature: bytes, text: bytes) -> bool:
    """Whether the device with that registered key has signed that challenge."""
    try:
        key = serialization.load_pem_public_key(public_pem.encode())
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
