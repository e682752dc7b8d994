"""Secrets of accounts: made by us or chosen by people, kept only as scrypt hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets

_COST, _BLOCK, _PARALLEL = 1 << 14, 8, 1


def make_secret() -> str:
    """A secret with 256 bits, for an account or a refresh token."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is kept of a token that we made: nobody can guess one, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def hashed(secret: str) -> str:
    """What is kept of a secret that a person may have chosen. Takes some 50 ms: call it in a thread."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}${_scrypt(secret, salt).hex()}"


def matches(secret: str, kept: str) -> bool:
    """Whether a secret is the one whose hash is kept; takes as long when there is none."""
    salt, _, wanted = (kept or f"{bytes(16).hex()}$").partition("$")
    found = _scrypt(secret, bytes.fromhex(salt)).hex()
    return hmac.compare_digest(found, wanted)


def _scrypt(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode("utf-8", "surrogatepass"), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, dklen=32)
