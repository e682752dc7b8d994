"""ProviderConfigs themselves: how many use them, whether they can be used, and that they stay while somebody does."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from continuo.iot.provider import conditions, credentials
from continuo.iot.provider.connections import ConfigName, Connections
from continuo.iot.provider.external import NotYet, Refused
from continuo.iot.provider.objects import Objects
from continuo.kube.port import Cluster
from continuo.resources.boards import CLUSTER_PROVIDER_CONFIG, PROVIDER_CONFIG, decode_at
from continuo.resources.boards_config import ProviderConfigSpec, ProviderConfigStatus
from continuo.resources.errors import ApiError, Conflict, Invalid, NotFound
from continuo.resources.kinds import SECRET
from continuo.resources.meta import Key, Kind, Object, deleting, key_of
from continuo.runtime.controller import DONE, Result
from continuo.runtime.informer import Informer, Watch

IN_USE = "in-use.crossplane.io"
SECRET_IN_USE = "iot.continuo.dev/in-use"
"""On Secrets, where API servers want a qualified name."""
AGAIN = 60.0
"""Seconds after which a configuration that cannot be used is looked at again."""


class Configs:
    """Both kinds of configurations."""

    def __init__(
        self, cluster: Cluster, objects: Objects, connections: Callable[[], Connections], now: Callable[[], float]
    ) -> None:
        self._cluster, self._objects, self._connections, self._now = cluster, objects, connections, now
        self._former: dict[Key, ConfigName] = {}
        """Secrets that a configuration named, and names no more."""
        self.informers = {
            kind.kind: Informer(cluster, Watch(kind, indexers={"secret": _secrets}))
            for kind in (PROVIDER_CONFIG, CLUSTER_PROVIDER_CONFIG)
        }

    def get(self, name: ConfigName) -> Object | None:
        """The object, from the cache."""
        informer = self.informers.get(name.kind)
        return None if informer is None else informer.cache.get((name.namespace, name.name))

    async def reconcile(self, name: ConfigName) -> Result:
        """Count, hold or let go, and say."""
        obj = self.get(name)
        if obj is None:
            return DONE
        try:
            return await self._reconcile(name, obj)
        except (Conflict, NotFound):
            return Result(0.5)

    async def _reconcile(self, name: ConfigName, obj: Object) -> Result:
        users = len(self._objects.of_config(name))
        await self._former_secrets()
        if users:
            obj = await self._hold(obj, used=True)
        await self._hold_secret(name, _secret_key(obj), used=users > 0)
        if not users:
            obj = await self._hold(obj, used=False)
            if deleting(obj):
                return DONE
        problem = await self._problem(name)
        told = [
            conditions.ready(False, conditions.UNAVAILABLE, problem)
            if problem
            else conditions.ready(True, conditions.AVAILABLE)
        ]
        if deleting(obj):
            told = [conditions.ready(False, conditions.DELETING, f"it is deleted when its {users} users are")]
        status = conditions.next_status(obj, told, None, self._now()) or {}
        patch = {key: value for key, value in status.items() if key == "conditions"}
        known = obj.get("status") or {}
        said = ProviderConfigStatus(users=users, events=self._connections().told(name))
        if known.get("users", 0) != said.users:
            patch["users"] = said.users
        if said.events is not None and known.get("events") != said.events:
            patch["events"] = said.events
        if patch:
            await self._patch(obj, {"status": patch}, "status")
        return Result(AGAIN) if problem else DONE

    async def _problem(self, name: ConfigName) -> str:
        try:
            await self._connections().check(name)
        except (Refused, NotYet, Invalid) as error:
            return str(error)
        return ""

    async def _hold(self, obj: Object, *, used: bool) -> Object:
        finalizers = list(obj["metadata"].get("finalizers") or ())
        if used == (IN_USE in finalizers) or (used and deleting(obj)):
            return obj
        wanted = [*finalizers, IN_USE] if used else [each for each in finalizers if each != IN_USE]
        version = obj["metadata"]["resourceVersion"]
        return await self._patch(obj, {"metadata": {"finalizers": wanted, "resourceVersion": version}})

    def changed(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        """A configuration may name another Secret now: the former one is let go at the next look."""
        before = None if old is None else _secret_key(old)
        if old is not None and before is not None and (new is None or _secret_key(new) != before):
            self._former[before] = named(kind, old)

    async def _former_secrets(self) -> None:
        for key, name in list(self._former.items()):
            await self._hold_secret(name, key, used=False)
            self._former.pop(key, None)

    async def _hold_secret(self, name: ConfigName, key: Key | None, *, used: bool) -> None:
        """Credentials do not go before those who need them to clean up."""
        if key is None:
            return
        wanted = used or self._users_of_secret(key, name)
        try:
            secret = await self._cluster.get(SECRET, key[1], key[0])
            finalizers = list(secret["metadata"].get("finalizers") or ())
            if wanted == (SECRET_IN_USE in finalizers) or (wanted and deleting(secret)):
                return
            kept = [*finalizers, SECRET_IN_USE] if wanted else [each for each in finalizers if each != SECRET_IN_USE]
            version = secret["metadata"]["resourceVersion"]
            change = {"metadata": {"finalizers": kept, "resourceVersion": version}}
            await self._cluster.patch(SECRET, key[1], change, key[0])
        except NotFound:
            return

    def _users_of_secret(self, key: Key, but: ConfigName) -> bool:
        for informer in self.informers.values():
            for obj in informer.cache.by_index("secret", key):
                name = named(informer.watch.kind, obj)
                if name != but and self._objects.of_config(name):
                    return True
        return False

    async def _patch(self, obj: Object, patch: Object, subresource: str | None = None) -> Object:
        namespace, name = key_of(obj)
        kind = PROVIDER_CONFIG if namespace else CLUSTER_PROVIDER_CONFIG
        answer = await self._cluster.patch(kind, name, patch, namespace or None, subresource=subresource)
        self.informers[kind.kind].learn(answer)
        return answer


def named(kind: Kind, obj: Object) -> ConfigName:
    """How a configuration is named."""
    namespace, name = key_of(obj)
    return ConfigName(kind.kind, namespace, name)


def _secret_key(obj: Object) -> Key | None:
    try:
        return credentials.secret_of(decode_at(obj, "spec", ProviderConfigSpec), obj["metadata"].get("namespace") or "")
    except (Refused, ApiError):
        return None


def _secrets(obj: Object) -> Iterable[Key]:
    key = _secret_key(obj)
    return () if key is None else (key,)
