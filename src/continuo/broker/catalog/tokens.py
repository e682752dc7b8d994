"""Access tokens: JWTs that live minutes, signed with Ed25519 by keys that change."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from continuo.storage.database import Database, Session

LIFETIME = 15 * 60
ISSUER = "continuo-catalog"
_ALGORITHM = "EdDSA"
_CLAIMS = ["iss", "aud", "sub", "exp", "iat", "jti", "sid", "scope", "role"]
_KEYS = 8
"""At most so many verify, however often they are rotated."""
_REMEMBERED = 4096


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
    created: float


class Signer:
    """Signs and believes tokens for one audience, the broker's name."""

    def __init__(self, database: Database, audience: str, clock: Callable[[], float]) -> None:
        self._database, self._audience, self._clock = database, audience, clock
        self._keys: dict[str, _Key] = {}
        """The newest is the last."""
        self._believed: dict[str, Claims] = {}
        """Tokens whose signature was checked already, which is the dear part of believing them."""

    async def load(self) -> None:
        """Take over the keys, or make the first one."""
        rows = await self._database.do(
            lambda session: session.all("SELECT id, private, created FROM signing_keys ORDER BY created, id")
        )
        self._keys = {id: _Key(id, Ed25519PrivateKey.from_private_bytes(bytes(raw)), at) for id, raw, at in rows}
        if not rows:
            await self.rotate()

    async def rotate(self, *, drop: bool = False) -> str:
        """Sign with a new key from now on. Tokens of the last ones stay good until they expire; with `drop` none does."""
        key = _Key(secrets.token_hex(8), Ed25519PrivateKey.generate(), self._clock())
        raw, kept = key.private.private_bytes_raw(), {} if drop else self._needed(key.created)

        def write(session: Session) -> None:
            for (old,) in session.all("SELECT id FROM signing_keys"):
                if old not in kept:
                    session.run("DELETE FROM signing_keys WHERE id = ?", old)
            session.run("INSERT INTO signing_keys VALUES (?, ?, ?)", key.id, raw, key.created)

        await self._database.do(write, lambda _: self._use({**kept, key.id: key}))
        return key.id

    async def rotate_after(self, age: float) -> bool:
        """Rotate if the newest key signs for longer than this already."""
        due = self._newest().created + age <= self._clock()
        if due:
            await self.rotate()
        return due

    def _needed(self, now: float) -> dict[str, _Key]:
        """The keys of which tokens may still be under way, when there is a new one now."""
        keys = list(self._keys.values())
        followed = [*(key.created for key in keys[1:]), now]
        kept = [key for key, until in zip(keys, followed, strict=False) if until + LIFETIME > now]
        return {key.id: key for key in kept[-(_KEYS - 1) :]}

    def _use(self, keys: dict[str, _Key]) -> None:
        self._keys, self._believed = keys, {}

    def _newest(self) -> _Key:
        assert self._keys, "load() comes first"
        return next(reversed(self._keys.values()))

    def issue(self, account: str, role: str, scopes: frozenset[str], family: str) -> str:
        """A new token."""
        key, now = self._newest(), int(self._clock())
        claims = {
            "iss": ISSUER, "aud": self._audience, "sub": account, "role": role, "scope": " ".join(sorted(scopes)),
            "sid": family, "jti": secrets.token_hex(16), "iat": now, "exp": now + LIFETIME,
        }  # fmt: skip
        return jwt.encode(claims, key.private, algorithm=_ALGORITHM, headers={"kid": key.id})

    def believe(self, token: str) -> Claims:
        """What the token says; raises BadToken when it is forged, expired, meant for others, or no token."""
        claims = self._believed.get(token)
        if claims is None:
            claims = self._checked(token)
            if len(self._believed) >= _REMEMBERED:
                self._believed.clear()
            self._believed[token] = claims
        if claims.expires <= self._clock():
            raise BadToken("the access token has expired; refresh it at /api/v1/tokens:refresh, or authenticate again")
        return claims

    def _checked(self, token: str) -> Claims:
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
        return Claims(said["sub"], said["role"], frozenset(said["scope"].split()), said["sid"], said["exp"])

    def public_keys(self) -> dict[str, Any]:
        """The keys by which others may check tokens, as a JWK set; the last one signs."""
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return {
            "keys": [
                {
                    "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": _ALGORITHM, "kid": key.id,
                    "x": jwt.utils.base64url_encode(key.private.public_key().public_bytes(*raw)).decode(),
                    "created": int(key.created * 1000),
                }
                for key in self._keys.values()
            ]
        }  # fmt: skip
