"""How a request says who asks: a token, Keystone's, or none where the endpoint believes everybody (`noauth`)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import aiohttp
import msgspec

from continuo.iot.provider.external import NotSent, Refused, Unknown

NOBODY = "00000000-0000-0000-0000-000000000000"
"""User and project where nobody says any: of the form that IoTronic takes without authentication."""
EARLY = 60.0
"""Seconds before its end at which a token is replaced."""


class Auth(Protocol):
    """Headers of a request."""

    async def headers(self, *, fresh: bool) -> Mapping[str, str]:
        """What tells who asks. `fresh`: the last one was not accepted. Raises Refused, Unknown."""


@dataclass(frozen=True, slots=True)
class NoAuth:
    """The endpoint trusts what it is told."""

    project: str = NOBODY

    async def headers(self, *, fresh: bool) -> Mapping[str, str]:  # noqa: ARG002
        """Always the same."""
        return {"X-User-Id": NOBODY, "X-Project-Id": self.project, "X-Roles": "admin_iot_project"}


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A token that somebody gave us."""

    token: str = field(repr=False)

    async def headers(self, *, fresh: bool) -> Mapping[str, str]:  # noqa: ARG002
        """Always the same: whoever gave it has to give another."""
        return {"X-Auth-Token": self.token}


@dataclass(frozen=True, slots=True)
class Password:
    """Who asks Keystone for a token."""

    identity: Mapping[str, Any] = field(repr=False)
    """The body's `auth`."""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Password:
        """From credentials as users write them; raises Refused with a sentence that names what is missing, no value."""
        if said.get("application_credential_id"):
            secret = {
                "id": said["application_credential_id"],
                "secret": _need(said, "application_credential_secret"),
            }
            return cls({"identity": {"methods": ["application_credential"], "application_credential": secret}})
        domain = str(said.get("user_domain") or "Default")
        user = {"name": _need(said, "username"), "password": _need(said, "password"), "domain": {"name": domain}}
        project = {"name": _need(said, "project"), "domain": {"name": str(said.get("project_domain") or domain)}}
        return cls({"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": project}})


def _need(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(
            f"the credentials have no {name}: Keystone needs username, password and project, "
            "or application_credential_id and application_credential_secret"
        )
    return value


class Keystone:
    """A token of Keystone v3, kept until shortly before it ends; asked for once, however many need it."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, password: Password, now: Callable[[], float], *,
        tls: ssl.SSLContext | bool = True, timeout: float = 20.0,
    ) -> None:  # fmt: skip
        base = url.rstrip("/")
        self._url = f"{base if base.endswith('/v3') else f'{base}/v3'}/auth/tokens"
        self._http, self._password, self._now, self._tls, self._timeout = http, password, now, tls, timeout
        self._token, self._until = "", 0.0
        self._asking = asyncio.Lock()

    async def headers(self, *, fresh: bool) -> Mapping[str, str]:
        """The token; another than the last one when that was not accepted."""
        refused = self._token if fresh else None
        async with self._asking:
            if not self._token or self._token == refused or self._now() >= self._until - EARLY:
                self._token, self._until = await self._ask()
            return {"X-Auth-Token": self._token}

    async def _ask(self) -> tuple[str, float]:
        body = msgspec.json.encode({"auth": self._password.identity})
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        try:
            async with self._http.post(
                self._url, data=body, headers={"Content-Type": "application/json"}, timeout=timeout, ssl=self._tls,
                allow_redirects=False,
            ) as reply:  # fmt: skip
                said = await reply.content.read(1 << 20)
                status, token = reply.status, reply.headers.get("X-Subject-Token", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotSent(f"Keystone at {self._url} does not answer: {str(error) or type(error).__name__}") from error
        if status in (400, 401, 403, 404):
            raise Refused(f"Keystone at {self._url} does not accept the credentials (HTTP {status})")
        if status not in (200, 201) or not token:
            raise Unknown(f"Keystone at {self._url} answered HTTP {status} and no token")
        return token, _expiry(said, self._now())


def _expiry(body: bytes, now: float) -> float:
    try:
        text = msgspec.json.decode(body)["token"]["expires_at"]
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
        return now + 600.0
