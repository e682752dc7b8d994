"""Signed tokens, checked against the keys of the trust domain that their subject names, and no other's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from continuo.trust.bundles import Bundles
from continuo.trust.ids import BadId, SpiffeId, parse_id

LEEWAY = 10
"""Seconds by which clocks may differ."""
_LONGEST = 16_384
_ALGORITHMS: tuple[tuple[type[Any], tuple[str, ...]], ...] = (
    (ec.EllipticCurvePublicKey, ("ES256", "ES384", "ES512")),
    (rsa.RSAPublicKey, ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
)


class BadToken(ValueError):
    """A token that proves nothing here; `str()` is one sentence, without the token."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a valid one says."""

    subject: SpiffeId
    until: datetime
    claims: dict[str, Any]
    key: str = ""
    """The `kid` that has signed it."""


def verify_jwt(
    token: str,
    audience: SpiffeId | str,
    bundles: Bundles,
    now: datetime,
    *,
    kinds: Iterable[str | None] = (None, "JWT", "JOSE"),
) -> Token:
    """A JWT-SVID for that audience; BadToken says why it is none. `kinds`: the `typ` that its header may have."""
    if len(token) > _LONGEST:
        raise BadToken(f"the token has {len(token)} characters, and at most {_LONGEST} are read")
    try:
        header = jwt.get_unverified_header(token)
        claimed = jwt.decode(token, options={"verify_signature": False})
        subject = parse_id(str(claimed.get("sub", "")))
    except (jwt.PyJWTError, BadId, ValueError) as error:
        raise BadToken(f"the token cannot be read: {error}") from None
    if header.get("typ") not in tuple(kinds):
        raise BadToken(f"the token is of type {header.get('typ')!r}, which is not accepted here")
    key = bundles.jwt.get(subject.trust_domain, {}).get(str(header.get("kid")))
    if key is None:
        raise BadToken(f"the token names {subject}, and no known key of {subject.trust_domain} has signed it")
    claims = _checked(token, key, str(audience), now)
    return Token(subject, datetime.fromtimestamp(claims["exp"], now.tzinfo), claims, str(header["kid"]))


def _checked(token: str, key: Any, audience: str, now: datetime) -> dict[str, Any]:
    algorithms = next((list(names) for kind, names in _ALGORITHMS if isinstance(key, kind)), [])
    options: Any = {"require": ["sub", "aud", "exp"], "verify_exp": False, "verify_nbf": False, "verify_iat": False}
    try:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=algorithms, audience=audience, options=options)
        moment = now.timestamp()
        if float(claims["exp"]) + LEEWAY < moment:
            raise BadToken("the token has expired")
        if float(claims.get("nbf", moment)) - LEEWAY > moment or float(claims.get("iat", moment)) - LEEWAY > moment:
            raise BadToken("the token is not valid yet")
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        if isinstance(error, BadToken):
            raise
        raise BadToken(f"the token is not accepted: {error}") from None
    return claims
