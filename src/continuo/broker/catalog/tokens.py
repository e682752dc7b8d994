"""Access tokens: JWTs that live minutes, signed with Ed25519 by keys that change."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from continuo.broker.catalog.database import Database, Session

LIFETIME = 15 * 60
ISSUER = "continuo-catalog"
_ALGORITHM = "EdDSA"
_CLAIMS = ["iss", "aud", "sub", "exp", "iat", "jti", "sid", "scope", "role"]
_KEYS = 2
"""The newest signs; the one before still verifies, because tokens of it are under way."""


class BadToken(Exception):
    """A token that proves nothing; `str()` is a sentence."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says, once it is believed."""

    account: str
    role: str
    scopes: frozenset[str]
    family: str
    expires: float


@dataclass(frozen=True, slots=True)
class _Key:
    id: str
    private: Ed25519PrivateKey


class Signer:
    """Signs and believes tokens for one audience, the broker's name."""

    def __init__(self, database: Database, audience: str, clock: Callable[[], float]) -> None:
        self._database, self._audience, self._clock = database, audience, clock
        self._keys: dict[str, _Key] = {}
        self._newest: _Key | None = None

    async def load(self) -> None:
        """Take over the keys, or make the first one."""
        rows = await self._database.do(
            lambda session: session.all("SELECT id, private FROM signing_keys ORDER BY created, id")
        )
        for id, private in rows:
            self._use(_Key(id, Ed25519PrivateKey.from_private_bytes(bytes(private))))
        if not rows:
            await self.rotate()

    async def rotate(self) -> str:
        """Sign with a new key from now on; tokens of the last one stay good until they expire."""
        key = _Key(secrets.token_hex(8), Ed25519PrivateKey.generate())
        raw, now = key.private.private_bytes_raw(), self._clock()
        kept = [id for id in self._keys][-(_KEYS - 1) :]

        def write(session: Session) -> None:
            for (old,) in session.all("SELECT id FROM signing_keys"):
                if old not in kept:
                    session.run("DELETE FROM signing_keys WHERE id = ?", old)
            session.run("INSERT INTO signing_keys VALUES (?, ?, ?)", key.id, raw, now)

        await self._database.do(write)
        self._keys = {id: self._keys[id] for id in kept}
        self._use(key)
        return key.id

    def _use(self, key: _Key) -> None:
        self._keys[key.id] = key
        self._newest = key

    def issue(self, account: str, role: str, scopes: frozenset[str], family: str) -> str:
        """A new token."""
        assert self._newest is not None, "load() comes first"
        now = int(self._clock())
        claims = {
            "iss": ISSUER, "aud": self._audience, "sub": account, "role": role, "scope": " ".join(sorted(scopes)),
            "sid": family, "jti": secrets.token_hex(16), "iat": now, "exp": now + LIFETIME,
        }  # fmt: skip
        return jwt.encode(claims, self._newest.private, algorithm=_ALGORITHM, headers={"kid": self._newest.id})

    def believe(self, token: str) -> Claims:
        """What the token says; raises BadToken when it is forged, expired, meant for others, or no token."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(kid) if isinstance(kid, str) else None
            if key is None:
                raise BadToken("the access token is not signed by this catalog, or by a key that is no longer used")
            said: dict[str, Any] = jwt.decode(
                token, key.private.public_key(), algorithms=[_ALGORITHM], audience=self._audience, issuer=ISSUER,
                options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise BadToken("the access token is not one of this catalog's") from error
        if said["exp"] <= self._clock():
            raise BadToken("the access token has expired; refresh it at /api/v1/tokens:refresh, or authenticate again")
        return Claims(said["sub"], said["role"], frozenset(said["scope"].split()), said["sid"], said["exp"])

    def public_keys(self) -> dict[str, Any]:
        """The keys by which others may check tokens, as a JWK set."""
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return {
            "keys": [
                {
                    "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": _ALGORITHM, "kid": key.id,
                    "x": jwt.utils.base64url_encode(key.private.public_key().public_bytes(*raw)).decode(),
                }
                for key in self._keys.values()
            ]
        }  # fmt: skip
