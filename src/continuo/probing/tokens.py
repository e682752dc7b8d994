"""What lets somebody use a probe: a token that lives a minute, for one probe, with a budget of bytes.

The probe needs only the public keys of those who may ask, so nothing that it was given is worth stealing.
"""

from __future__ import annotations

import contextlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LIFETIME = 60.0
_ABOUT = b"continuo.dev/probe\n"
_LONGEST = 1024
_SKEW = 30.0


class BadProbeToken(Exception):
    """A token that opens nothing; `str()` is a sentence."""


class ProbeToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a token says."""

    probe: str
    id: str
    expires: float
    budget: int
    """Bytes that may be sent and received with it."""


def issue(private: Ed25519PrivateKey, token: ProbeToken) -> str:
    """The token as it is sent."""
    payload = msgspec.json.encode(token)
    return f"{_encode(payload)}.{_encode(private.sign(_ABOUT + payload))}"


def believe(text: str, keys: Iterable[bytes], probe: str, now: float) -> ProbeToken:
    """What it says, if one of those public keys signed it; raises BadProbeToken."""
    payload, _, signature = text.partition(".")
    try:
        if len(text) > _LONGEST:
            raise ValueError("too long")
        said = _decode(payload)
        _verify(keys, _decode(signature), _ABOUT + said)
        token = msgspec.json.decode(said, type=ProbeToken)
    except (ValueError, InvalidSignature, msgspec.DecodeError) as error:
        raise BadProbeToken("the token is not of anybody whom this probe answers") from error
    if token.probe != probe:
        raise BadProbeToken("the token is for another probe")
    if not now - _SKEW < token.expires <= now + LIFETIME + _SKEW:
        raise BadProbeToken("the token has expired, or lives too long")
    return token


def _verify(keys: Iterable[bytes], signature: bytes, said: bytes) -> None:
    for key in keys:
        with contextlib.suppress(InvalidSignature):
            Ed25519PublicKey.from_public_bytes(key).verify(signature, said)
            return
    raise InvalidSignature


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
