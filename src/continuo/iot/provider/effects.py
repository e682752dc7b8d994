"""What kinds ask of the cluster and of the machine (`world.World`): Secrets, ConfigMaps, code at an address, time, chance."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import Any

import aiohttp

from continuo.iot.provider.addresses import Reach
from continuo.iot.provider.external import Details, Managed, Neighbours, NotSent, Refused, Unknown
from continuo.kube.port import Cluster
from continuo.resources.errors import AlreadyExists, Conflict, NotFound
from continuo.resources.kinds import CONFIG_MAP, SECRET
from continuo.resources.meta import Object
from continuo.runtime.informer import Informer, Watch

CONNECTION_LABEL = "iot.continuo.dev/connection"
CONNECTION_TYPE = "connection.crossplane.io/v1alpha1"
KEPT = 64
"""So many fetched files are remembered."""
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


class Effects:
    """The real world."""

    def __init__(self, cluster: Cluster, http: aiohttp.ClientSession, neighbours: Neighbours, reach: Reach) -> None:
        self._cluster, self._http, self.neighbours, self._reach = cluster, http, neighbours, reach
        self.published = Informer(cluster, Watch(SECRET, labels=f"{CONNECTION_LABEL}=true"))
        """Connection Secrets: who removes one gets it again."""
        self._fetched: dict[str, bytes] = {}

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def make_code(self) -> str:
        """125 bits: IoTronic's table has room for 25 characters."""
        return "".join(secrets.choice(ALPHABET) for _ in range(25))

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """What a Secret holds."""
        try:
            found = await self._cluster.get(SECRET, name, namespace)
        except NotFound:
            return None
        return _decoded(found)

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """What a ConfigMap holds."""
        try:
            found = await self._cluster.get(CONFIG_MAP, name, namespace)
        except NotFound:
            return None
        return {key: str(value) for key, value in (found.get("data") or {}).items()}

    async def publish(self, managed: Managed[Any], details: Details) -> None:
        """Put details into the object's connection Secret, beside what is there."""
        if not managed.secret or managed.deleting:
            return
        known = self.published.cache.get((managed.namespace, managed.secret))
        if known is not None and _owner(known) == managed.uid and _has(known, details):
            return
        for _ in range(3):
            try:
                self.published.learn(await self._write(managed, details))
                return
            except (Conflict, AlreadyExists, NotFound):
                continue
        raise Refused(f"Secret {managed.namespace}/{managed.secret} is being changed by somebody else all the time")

    async def _write(self, managed: Managed[Any], details: Details) -> Object:
        data = {key: base64.b64encode(value).decode() for key, value in details.items()}
        try:
            found = await self._cluster.get(SECRET, managed.secret, managed.namespace)
        except NotFound:
            return await self._cluster.create(_secret(managed, data))
        if _owner(found) != managed.uid:
            raise Refused(
                f"Secret {managed.namespace}/{managed.secret} is there already and belongs to somebody else: name another in "
                "writeConnectionSecretToRef"
            )
        version = found["metadata"]["resourceVersion"]
        change = {"metadata": {"resourceVersion": version, "labels": {CONNECTION_LABEL: "true"}}, "data": data}
        return await self._cluster.patch(SECRET, managed.secret, change, managed.namespace)

    async def fetch(self, url: str, digest: str, most: int) -> bytes:
        """What is at an address: at most so many bytes, of that SHA-256; fetched once."""
        known = self._fetched.get(digest)
        if known is None:
            known = await self._fetch(url, most)
            actual = hashlib.sha256(known).hexdigest()
            if actual != digest:
                raise Refused(f"{url} has something with SHA-256 {actual}, and {digest} is declared")
            if len(self._fetched) >= KEPT:
                self._fetched.pop(next(iter(self._fetched)))
            self._fetched[digest] = known
        return known

    async def _fetch(self, url: str, most: int) -> bytes:
        await self._reach.check(url)
        try:
            async with self._http.get(
                url, timeout=aiohttp.ClientTimeout(total=30, sock_connect=10), allow_redirects=False
            ) as reply:
                if reply.status != 200:
                    raise Refused(f"{url} answered HTTP {reply.status}", reply.status)
                found = b""
                async for part in reply.content.iter_chunked(1 << 16):
                    found += part
                    if len(found) > most:
                        raise Refused(f"{url} has more than {most} bytes")
                return found
        except aiohttp.ClientConnectorError as error:
            raise NotSent(f"{url} cannot be reached: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unknown(f"{url} was not answered: {str(error) or type(error).__name__}") from error


def _secret(managed: Managed[Any], data: Mapping[str, str]) -> Object:
    owner = {
        "apiVersion": managed.kind.api_version, "kind": managed.kind.kind, "name": managed.name, "uid": managed.uid,
        "controller": True, "blockOwnerDeletion": False,
    }  # fmt: skip
    metadata = {"labels": {CONNECTION_LABEL: "true"}, "ownerReferences": [owner]}
    return SECRET.new(managed.secret, managed.namespace, metadata=metadata, type=CONNECTION_TYPE, data=dict(data))


def _owner(obj: Object) -> str | None:
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid"))
    return None


def _has(obj: Object, details: Details) -> bool:
    known = _decoded(obj)
    return all(known.get(key) == value for key, value in details.items())


def _decoded(obj: Object) -> dict[str, bytes]:
    found = {}
    for key, value in (obj.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(value)
        except (binascii.Error, ValueError):
            continue
    return found
