"""`EmbeddedEngine`: many clusters in one process over one store."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Literal, Protocol

import yaml

from continuo.embedded.api import ClusterApi, new_api
from continuo.embedded.apicore.changelog import DEFAULT_BOUNDS, Bounds
from continuo.embedded.lifecycle.cluster import ClusterLifecycle
from continuo.embedded.port import Api, Write
from continuo.embedded.store import Store
from continuo.resources.errors import BadRequest, NotFound
from continuo.resources.kinds import NAMESPACE, SERVICE

MANAGEMENT = "management"
_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_MANAGER = Write(manager="kube-apiserver", trusted=True)
_KUBERNETES = SERVICE.new(
    "kubernetes", "default",
    metadata={"labels": {"component": "apiserver", "provider": "kubernetes"}},
    spec={
        "clusterIP": "10.96.0.1",
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
    },
)  # fmt: skip
ClusterCallback = Callable[[Literal["added", "removed"], Api], None]
CallLater = Callable[[float, Callable[[], None]], Callable[[], None]]


class Credentials(Protocol):
    """What the HTTP face brings: kubeconfigs with tokens that it will accept."""

    def kubeconfig(self, url: str, cluster: str, user: str, groups: tuple[str, ...]) -> str:
        """A kubeconfig (YAML) for the API at `url`."""
        ...


class EmbeddedEngine:
    """Implements `embedded.port.Engine`. Start it inside a running event loop; use it from that loop's thread."""

    def __init__(
        self, data: Path | None = None, *, clock: Callable[[], float] = time.time, random: Random | None = None,
        call_later: CallLater | None = None, time_scale: float = 1.0, url: str = "https://127.0.0.1:6443",
        credentials: Credentials | None = None, ca: str = "", bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:  # fmt: skip
        self.base_url = url
        self.credentials = credentials
        self._clock = clock
        self._random = random or Random()
        self._call_later = call_later or loop_timer(time_scale)
        self._bounds = bounds
        self._ca = ca
        self._lifecycles: dict[str, ClusterLifecycle] | None = None
        self._clusters: dict[str, ClusterApi] = {}
        self._callbacks: list[ClusterCallback] = []
        self.store = Store(None if data is None else data / "clusters.sqlite")
        for found in self.store.found:
            self._restore(found.id, found.name, found.version)
        self.management: ClusterApi = self.create_cluster(MANAGEMENT)

    # --- clusters -----------------------------------------------------------------------------------------------------
    def cluster(self, name: str) -> ClusterApi:
        found = self._clusters.get(name)
        if found is None:
            raise NotFound(f'cluster "{name}" not found')
        return found

    def clusters(self) -> Iterable[ClusterApi]:
        return list(self._clusters.values())

    def create_cluster(self, name: str, *, version: str = "v1.34.0") -> ClusterApi:
        found = self._clusters.get(name)
        if found is not None:
            return found
        number = self.store.add_cluster(name, version)
        api = new_api(name, number, version, self.store, self._clock, self._random, self._bounds)
        self._add(api)
        return api

    def _restore(self, number: int, name: str, version: str) -> None:
        api = new_api(name, number, version, self.store, self._clock, self._random, self._bounds)
        api.state.restore(self.store.load(number))
        self._add(api)

    def _add(self, api: ClusterApi) -> None:
        self._clusters[api.name] = api
        for namespace in _NAMESPACES:
            if api.find(NAMESPACE, namespace) is None:
                api.create(NAMESPACE.new(namespace), _MANAGER)
        if api.find(SERVICE, "kubernetes", "default") is None:
            api.create(_KUBERNETES, _MANAGER)
        if self._lifecycles is not None:
            self._lifecycles[api.name] = self._lifecycle(api)
        for callback in list(self._callbacks):
            callback("added", api)

    def _trusted_ca(self) -> str:
        """The certificate authority that kubeconfigs tell clients to trust (PEM)."""
        if self.credentials is None:
            return ""
        clusters = (yaml.load(self.kubeconfig(MANAGEMENT), yaml.CSafeLoader) or {}).get("clusters") or [{"cluster": {}}]
        return base64.b64decode(clusters[0]["cluster"].get("certificate-authority-data") or "").decode()

    def _lifecycle(self, api: ClusterApi) -> ClusterLifecycle:
        return ClusterLifecycle(api, self.call_later, self.now, self._ca)

    def upgrade_cluster(self, name: str, version: str) -> None:
        state = self.cluster(name).state
        if state.kubernetes_version != version:
            state.kubernetes_version = version
            self.store.upgrade_cluster(state.number, name, version)

    def remove_cluster(self, name: str) -> None:
        if name == MANAGEMENT:
            raise BadRequest("the management cluster cannot be removed: it carries the engine")
        api = self.cluster(name)
        del self._clusters[name]
        if self._lifecycles is not None:
            self._lifecycles.pop(name).stop()
        api.close()
        self.store.drop_cluster(api.state.number)
        for callback in list(self._callbacks):
            callback("removed", api)

    def on_cluster(self, callback: ClusterCallback) -> None:
        self._callbacks.append(callback)
        for api in list(self._clusters.values()):
            callback("added", api)

    # --- access -------------------------------------------------------------------------------------------------------
    def url(self, cluster: str) -> str:
        return f"{self.base_url}/clusters/{cluster}"

    def kubeconfig(self, cluster: str, *, user: str = "admin", groups: tuple[str, ...] = ("system:masters",)) -> str:
        if self.credentials is None:
            raise NotFound(f'no credentials for cluster "{cluster}": the engine runs without an HTTP face')
        return self.credentials.kubeconfig(self.url(cluster), cluster, user, groups)

    # --- time ---------------------------------------------------------------------------------------------------------
    def now(self) -> float:
        return self._clock()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self._call_later(seconds, callback)

    # --- life ---------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Begin what a control plane does by itself, on every cluster that is and will be."""
        if self._lifecycles is None:
            self._ca = self._ca or self._trusted_ca()
            self._lifecycles = {api.name: self._lifecycle(api) for api in self._clusters.values()}

    async def stop(self) -> None:
        """End it, and write everything that is still on its way."""
        for lifecycle in (self._lifecycles or {}).values():
            lifecycle.stop()
        self._lifecycles = None
        await self.store.flushed()
        self.store.close()


def loop_timer(scale: float) -> CallLater:
    """Timers of the running event loop; with a scale of 0.1 ten seconds take one."""

    def call_later(seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(seconds * scale, callback).cancel

    return call_later
