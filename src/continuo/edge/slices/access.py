"""Ways into a slice: the kubeconfig that a seller hands over, and credentials that a buyer keeps fresh.

What is handed over is good for an hour and kept in memory only. A buyer asks for new ones in time, at the seller's gateway.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import yaml

from continuo.edge.rear.refusals import Refusal
from continuo.kube.access import Access, Identity
from continuo.kube.config import access_from
from continuo.resources.errors import ApiError, BadRequest
from continuo.resources.meta import Object

log = logging.getLogger(__name__)

LIFE = 3600
"""Seconds for which a token is good; one may go on for as long as its contract holds."""
RENEW = 1200.0
"""Seconds after which a new one is asked for."""
AGAIN = 15.0
"""Seconds between two attempts."""
Ask = Callable[[], Awaitable[Access]]


def kubeconfig(access: Access, server: str, name: str, namespace: str, user: str, token: str) -> str:
    """The API server as a buyer enters it, base64; in it nothing but the namespace."""
    cluster: Object = {"server": server}
    if access.tls.ca:
        cluster["certificate-authority-data"] = base64.b64encode(access.tls.ca.encode()).decode()
    if access.tls.server_name:
        cluster["tls-server-name"] = access.tls.server_name
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}], "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": namespace}}],
    }  # fmt: skip
    return base64.b64encode(yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False).encode()).decode()


def read(handed: str) -> Access:
    """What a seller handed over; raises BadRequest where it would make us do more than ask an API server over TLS."""
    try:
        text = base64.b64decode(handed, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise BadRequest("the seller's kubeconfig is not base64 of a text") from None
    access = access_from(text, trusted=False, environ={})
    if not access.server.startswith("https://") or access.tls.insecure:
        raise BadRequest(
            "the seller's kubeconfig leads to an API server that does not prove who it is: it must be https, and say by "
            "which certificate authority"
        )
    if access.proxy is not None:
        raise BadRequest("the seller's kubeconfig names a proxy; credentials of a slice go to the API server alone")
    return access


class Fresh:
    """Implements Credentials: asks for new ones before the old ones are void, one request for all who wait."""

    def __init__(self, access: Access, first: Identity, ask: Ask, moved: Callable[[], None]) -> None:
        self._access, self._identity, self._ask, self._moved = access, first, ask, moved
        self._due = asyncio.get_running_loop().time() + RENEW
        self._refused_at = -AGAIN
        self._lock = asyncio.Lock()

    async def current(self) -> Identity:
        """The identity to use now; an older one as long as no other is to be had."""
        now = asyncio.get_running_loop().time
        if now() >= self._due:
            async with self._lock:
                if now() >= self._due:
                    self._due = now() + (RENEW if await self._renew() else AGAIN)
        return self._identity

    def invalidate(self) -> bool:
        """The server does not take it any more: ask at once, unless that was done a moment ago."""
        now = asyncio.get_running_loop().time()
        if now - self._refused_at < AGAIN:
            return False
        self._refused_at = now
        self.expire()
        return True

    def expire(self) -> None:
        """Ask for new ones at the next request."""
        self._due = asyncio.get_running_loop().time()

    async def _renew(self) -> bool:
        try:
            new = await self._ask()
            identity = await new.credentials.current()
        except (ApiError, Refusal) as error:
            log.info("no new credentials for %s: %s", self._access.server, error)
            return False
        if (new.server, new.tls, new.namespace) != (self._access.server, self._access.tls, self._access.namespace):
            self._moved()  # another address or authority: the whole client is made anew
        self._identity = identity
        return True


async def refreshing(access: Access, ask: Ask, moved: Callable[[], None]) -> Access:
    """The same access, whose credentials are renewed as long as somebody uses them."""
    first = await access.credentials.current()
    return replace(access, credentials=Fresh(access, first, ask, moved))
