"""One measurement, and its signed form that anybody can check without trusting whoever hands it over.

The signed form is a compact JWS (RFC 7515) with Ed25519. There is exactly one spelling of each record: header and payload
have to be, byte for byte, what this module would write. So a changed character never verifies, whatever it changes.
"""

from __future__ import annotations

import hashlib
import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LONGEST = 4096
SKEW = 60_000
"""Milliseconds by which clocks may differ."""
_TYPE = "continuo-measurement"
_METRIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}")
_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")


class BadRecord(Exception):
    """A record that proves nothing; `str()` is a sentence."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured of a provider."""

    provider: str
    metric: str
    value: float
    unit: str
    at: int
    """When, in milliseconds since 1970."""
    lasts: int
    """For how many seconds it counts; after that it is stale."""
    by: str
    """The broker that measured."""
    sequence: int
    """Grows with every record of the same broker, provider and metric: an older one cannot pass for the newest."""
    samples: int = 1
    """How many single measurements stand behind the value."""
    coverage: float = 1.0
    """The share of the time it speaks of in which anything was measured at all."""

    @property
    def until(self) -> int:
        """When it stops counting, in milliseconds."""
        return self.at + 1000 * self.lasts

    def fresh(self, now: float) -> bool:
        """Whether it counts at `now` (seconds)."""
        return self.at - SKEW <= 1000 * now < self.until


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that records are checked with, and the time in which records may be of it."""

    raw: bytes
    created: int
    retired: int | None = None

    @property
    def id(self) -> str:
        """Derived from the key, so that no key passes for another."""
        return key_id(self.raw)


def key_id(raw: bytes) -> str:
    """The ID of a public key."""
    return hashlib.sha256(raw).hexdigest()[:32]


def checked(record: Record) -> Record:
    """The record, if it is one that can be signed; raises BadRecord."""
    if not _METRIC.fullmatch(record.metric):
        raise BadRecord(f"the metric {record.metric[:80]!r} must be letters, digits and underscores, at most 63")
    if not math.isfinite(record.value):
        raise BadRecord(f"{record.metric} of {record.provider} is {record.value}: it must be a finite number")
    if not record.provider or not record.by or max(len(record.provider), len(record.by), len(record.unit)) > 255:
        raise BadRecord("a record names its provider and its broker, in at most 255 characters")
    if min(record.at, record.sequence, record.samples) < 0 or record.lasts <= 0 or not 0 <= record.coverage <= 1:
        raise BadRecord(
            f"{record.metric} of {record.provider}: times and counts are whole numbers from 0, coverage 0 to 1"
        )
    return record


def sign(record: Record, private: Ed25519PrivateKey) -> str:
    """The signed form; raises BadRecord."""
    kid = key_id(private.public_key().public_bytes_raw())
    signed = f"{_encode(_header(kid))}.{_encode(_payload(checked(record)))}"
    return f"{signed}.{_encode(private.sign(signed.encode()))}"


def verify(text: str, keys: Mapping[str, PublicKey]) -> Record:
    """The record in a signed form, if one of these keys signed it, while it was in use; raises BadRecord."""
    if not isinstance(text, str) or len(text) > LONGEST or not _JWS.fullmatch(text):
        raise BadRecord("this is no signed measurement: it must be three parts of base64url with dots between them")
    signed, _, signature = text.rpartition(".")
    header, _, payload = signed.partition(".")
    kid = _kid(_decode(header))
    key = keys.get(kid)
    if key is None or key.id != kid:
        raise BadRecord(f"no key {kid} is known: the record is of somebody else, or forged")
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(_decode(signature), signed.encode())
    except InvalidSignature:
        raise BadRecord("the signature does not fit: the record was changed, or forged") from None
    record = _record(_decode(payload))
    if record.at < key.created - SKEW or (key.retired is not None and record.at > key.retired + SKEW):
        raise BadRecord(f"the key {kid} was not in use when the record says that it was made")
    return record


def _header(kid: str) -> bytes:
    return msgspec.json.encode({"alg": "EdDSA", "kid": kid, "typ": _TYPE}, order="sorted")


def _payload(record: Record) -> bytes:
    return msgspec.json.encode(record, order="sorted")


def _kid(header: bytes) -> str:
    try:
        kid = msgspec.json.decode(header)["kid"]
    except (msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError):
        kid = None
    if not isinstance(kid, str) or header != _header(kid):
        raise BadRecord("the header is not that of a signed measurement")
    return kid


def _record(payload: bytes) -> Record:
    try:
        record = checked(msgspec.json.decode(payload, type=Record))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRecord(f"the record cannot be read: {error}") from error
    if _payload(record) != payload:
        raise BadRecord("the record is not in its canonical spelling")
    return record


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    """Strict: bits that carry nothing have to be zero."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise BadRecord("a part of the record is not base64url") from error
    if _encode(data) != text:
        raise BadRecord("a part of the record is not in its canonical spelling")
    return data


def jwk_set(keys: Mapping[str, PublicKey]) -> dict[str, Any]:
    """The keys as others may fetch them: a JWK set, with the time in which each was in use."""
    return {
        "keys": [
            {
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": id, "x": _encode(key.raw),
                "created": key.created, **({} if key.retired is None else {"retired": key.retired}),
            }
            for id, key in keys.items()
        ]
    }  # fmt: skip


def keys_of(jwks: Any) -> dict[str, PublicKey]:
    """The keys of a JWK set; raises BadRecord. IDs are computed, never believed."""
    try:
        made = [PublicKey(_decode(k["x"]), k.get("created", 0), k.get("retired")) for k in jwks["keys"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadRecord("the keys must be a JWK set: an object with `keys`, each of which has `x`") from error
    for key in made:
        if len(key.raw) != 32 or not isinstance(key.created, int) or not isinstance(key.retired, int | None):
            raise BadRecord("each key must be an Ed25519 public key of 32 bytes, with whole numbers for its times")
    return {key.id: key for key in made}
