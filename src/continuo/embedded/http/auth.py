"""Who a bearer token belongs to.

Tokens are JSON Web Tokens signed with a key of the engine, so none is stored, all survive a restart, and what a
client reads out of them (expiry, service account) is where Kubernetes puts it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from continuo.embedded.http.tls import write_private
from continuo.embedded.http.wire import User, decode_json, encode
from continuo.embedded.port import Api
from continuo.resources.kinds import SERVICE_ACCOUNT

AUTHENTICATED = "system:authenticated"
ISSUER = "https://kubernetes.default.svc.cluster.local"
_CACHE_SIZE = 4096


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


_HEADER = _b64(b'{"alg":"HS256","typ":"JWT"}')


class Tokens:
    """Makes and checks tokens. With a directory the signing key survives restarts."""

    def __init__(self, data_dir: Path | None = None, now: Callable[[], float] = time.time) -> None:
        self._key = self._load_or_create(data_dir)
        self._now = now
        self._checked: dict[str, tuple[dict[str, Any], User]] = {}

    def issue(self, cluster: str, user: str, groups: tuple[str, ...] = (), seconds: int | None = None) -> str:
        """A token for a user of one cluster; without `seconds` it does not expire."""
        return self._sign({"cluster": cluster, "sub": user, "groups": list(groups)}, seconds)

    def issue_service_account(
        self, cluster: str, namespace: str, name: str, uid: str, seconds: int = 3600, audiences: tuple[str, ...] = ()
    ) -> str:
        """A token for a service account; it ends with its time or with the account."""
        claims = {
            "cluster": cluster,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "aud": list(audiences) or [ISSUER],
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
        }
        return self._sign(claims, seconds)

    def authenticate(self, token: str, api: Api) -> User | None:
        """The user of the token on this cluster, or None."""
        found = self._checked.get(token)
        if found is None:
            verified = self._verify(token)
            if verified is None:
                return None
            if len(self._checked) >= _CACHE_SIZE:
                self._checked.pop(next(iter(self._checked)))
            found = self._checked[token] = verified, _user(verified)
        claims, user = found
        if claims["cluster"] != api.name or claims.get("exp", self._now() + 1) <= self._now():
            return None
        account = claims.get("kubernetes.io")
        return _service_account(claims, account, api) if account else user

    def _sign(self, claims: dict[str, Any], seconds: int | None) -> str:
        now = int(self._now())
        claims = {"iss": ISSUER, "iat": now, **claims}
        if seconds is not None:
            claims["exp"] = now + seconds
        payload = _HEADER + b"." + _b64(encode(claims))
        return (payload + b"." + _b64(self._digest(payload))).decode()

    def _verify(self, token: str) -> dict[str, Any] | None:
        payload, _, signature = token.rpartition(".")
        try:
            expected = self._digest(payload.encode("ascii"))
            if not hmac.compare_digest(expected, _unb64(signature)):
                return None
            claims: dict[str, Any] = decode_json(_unb64(payload.partition(".")[2]))
        except (ValueError, binascii.Error, msgspec.DecodeError):
            return None
        return claims

    def _digest(self, payload: bytes) -> bytes:
        return hmac.new(self._key, payload, hashlib.sha256).digest()

    @staticmethod
    def _load_or_create(data_dir: Path | None) -> bytes:
        path = data_dir / "tokens.key" if data_dir else None
        if path and path.exists():
            return path.read_bytes()
        key = secrets.token_bytes(32)
        if path:
            write_private(path, key)
        return key


def _user(claims: dict[str, Any]) -> User:
    groups = dict.fromkeys([*claims.get("groups", ()), AUTHENTICATED])
    return User(claims["sub"], tuple(groups))


def _service_account(claims: dict[str, Any], account: dict[str, Any], api: Api) -> User | None:
    namespace, wanted = account["namespace"], account["serviceaccount"]
    found = api.find(SERVICE_ACCOUNT, wanted["name"], namespace)
    if found is None or found["metadata"].get("uid", "") != wanted["uid"]:
        return None
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(claims["sub"], groups, wanted["uid"])


def kubeconfig(cluster: str, url: str, ca: bytes, token: str, *, user: str = "admin") -> str:
    """A kubeconfig (YAML) with one cluster, one user and one context."""
    login = f"{cluster}-{user}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": url, "certificate-authority-data": base64.b64encode(ca).decode()},
            }
        ],
        "users": [{"name": login, "user": {"token": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": login}}],
        "current-context": cluster,
    }
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False)
