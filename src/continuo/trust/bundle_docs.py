"""SPIFFE bundles as documents: a JWK Set with a sequence number, as bundle endpoints and federation use them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from jwt import PyJWK
from jwt.exceptions import PyJWTError

BIGGEST = 1 << 20
"""Bytes of a bundle that are read at most."""
_HINT = 300


class BadBundle(ValueError):
    """A document that is no bundle; `str()` is one sentence."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One trust domain's. Which one it is, the document does not say: that is configured."""

    x509: frozenset[bytes] = frozenset()
    jwt: Mapping[str, Any] = field(default_factory=dict)
    """Public keys by `kid`."""
    sequence: int = 0
    hint: int = _HINT
    """Seconds after which the publisher wants to be asked again."""


def parse_bundle(data: bytes, *, tokens_only: bool = False) -> Bundle:
    """Read a document. Keys of unknown use or type are left out, as the standard wants it; BadBundle for all else.

    `tokens_only`: as the Workload API sends it, where every key signs tokens and `use` need not be there.
    """
    if len(data) > BIGGEST:
        raise BadBundle(f"the bundle has more than {BIGGEST} bytes")
    try:
        document = json.loads(data.decode(), object_pairs_hook=_once)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BadBundle("the bundle is not JSON") from error
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise BadBundle("the bundle is no JWK Set: it has no list `keys`")
    authorities: set[bytes] = set()
    keys: dict[str, Any] = {}
    for place, entry in enumerate(document["keys"]):
        _read(entry, f"keys[{place}]", authorities, keys, "jwt-svid" if tokens_only else None)
    sequence, hint = (
        _number(document, name, other) for name, other in (("spiffe_sequence", 0), ("spiffe_refresh_hint", _HINT))
    )
    return Bundle(frozenset(authorities), keys, sequence, hint)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. One that names a key twice means different things to different readers."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadBundle("the bundle names a key twice in one object")
    return found


def _number(document: Mapping[str, Any], name: str, other: int) -> int:
    value = document.get(name, other)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadBundle(f"the bundle's {name} is {value!r}; it should be a whole number, zero or more")
    return value


def _read(entry: Any, where: str, authorities: set[bytes], keys: dict[str, Any], default: str | None) -> None:
    if not isinstance(entry, dict) or not isinstance(entry.get("kty"), str):
        raise BadBundle(f"{where} of the bundle is no JWK: it has no `kty`")
    if entry["kty"] not in ("EC", "RSA"):
        return
    use = entry.get("use", default)
    if use == "x509-svid":
        authorities.add(_authority(entry, where))
    elif use == "jwt-svid":
        kid = entry.get("kid")
        if not isinstance(kid, str) or not kid or kid in keys:
            raise BadBundle(f"{where} of the bundle needs a `kid` that no other key has")
        try:
            keys[kid] = PyJWK(entry, algorithm=_algorithm(entry)).key
        except PyJWTError as error:
            raise BadBundle(f"{where} of the bundle is no key that can be used: {error}") from error


def _algorithm(entry: Mapping[str, Any]) -> str:
    """So that a key is read as what its type says, whatever `alg` claims."""
    if entry["kty"] == "EC":
        return {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}.get(str(entry.get("crv")), "ES256")
    return "RS256"


def _authority(entry: Mapping[str, Any], where: str) -> bytes:
    chain = entry.get("x5c")
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        raise BadBundle(f"{where} of the bundle has no certificate in `x5c`")
    try:
        der = base64.b64decode(chain[0], validate=True)
    except ValueError as error:
        raise BadBundle(f"{where} of the bundle has an `x5c` that is not base64") from error
    require_authority(der, where)
    return der


def require_authority(der: bytes, where: str) -> None:
    """BadBundle unless that certificate may sign others."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise BadBundle(f"{where} of the bundle is no certificate of an authority: {error}") from error
    if not constraints.ca:
        raise BadBundle(f"{where} of the bundle is the certificate of a workload, and no authority's")


def write_bundle(
    authorities: Iterable[bytes], keys: Mapping[str, Mapping[str, Any]], sequence: int, hint: int
) -> bytes:
    """The document; `keys` are public JWKs by `kid`."""
    entries = [_entry(der) for der in sorted(authorities)]
    entries += [{**jwk, "kid": kid, "use": "jwt-svid"} for kid, jwk in sorted(keys.items())]
    return json.dumps({"keys": entries, "spiffe_sequence": sequence, "spiffe_refresh_hint": hint}, indent=2).encode()


def _entry(der: bytes) -> dict[str, Any]:
    key = x509.load_der_x509_certificate(der).public_key()
    return {**public_jwk(key), "use": "x509-svid", "x5c": [base64.b64encode(der).decode()]}


def public_jwk(key: Any) -> dict[str, Any]:
    """A public key as a JWK."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm

    if isinstance(key, ec.EllipticCurvePublicKey):
        return dict(ECAlgorithm.to_jwk(key, as_dict=True))
    if isinstance(key, rsa.RSAPublicKey):
        return {name: part for name, part in RSAAlgorithm.to_jwk(key, as_dict=True).items() if name != "key_ops"}
    raise BadBundle("an authority's key is neither EC nor RSA")
