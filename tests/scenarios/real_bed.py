"""Real engines under the scenarios: whole clusters to adopt, and Cluster API's development provider to create with."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import Any

import pytest
import yaml

from continuo.resources import kinds
from continuo.resources.errors import NotFound
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from .beds import Bed
from .outages import Leg, Relay, has_leg

CLOUD_ONLY = (
    "packages", "control-plane-flavor", "worker-machine-flavor", "image", "public-ip", "cloud", "external-network",
    "ssh-key",
)  # fmt: skip
"""What means nothing for simulated machines."""
CREATED_ONLY = (
    "kubernetes-version", "kubernetes-type", "control-plane-count", "worker-machine-count", "pod-cidr", "service-cidr",
    *(key for key in CLOUD_ONLY if key != "packages"),
)  # fmt: skip
PROVIDER = Kind("clusterctl.cluster.x-k8s.io", "v1alpha3", "Provider", "providers")
"""Cluster API's own list of what is installed."""


class RealBed(Bed):
    """The management cluster of `continuo up --engine kubernetes`, and its workload clusters as a pool."""

    def __init__(self, kubeconfig: str, pool: list[str], *, creates: bool, links: bool, loses: bool) -> None:
        super().__init__(kubeconfig=kubeconfig)
        self._pool, self._free = pool, list(pool)
        self._containers: bool | None = None
        self._taken: dict[tuple[str, str, str], str] = {}
        self._creates, self._links, self._loses = creates, links, loses
        self._ways: dict[str, Leg | Relay] = {}
        """What may be cut of the pool, by name."""

    @classmethod
    async def open(cls, text: str, *, creates: bool, links: bool, loses: bool) -> RealBed:
        """On the management cluster as it is. Skips what these engines lack."""
        document = yaml.safe_load(text)
        pool = [entry["name"] for entry in document["contexts"] if entry["name"] != document["current-context"]]
        bed = cls(text, pool, creates=creates, links=links, loses=loses)
        if creates and not await bed._has_cluster_api():
            await bed.close()
            pytest.skip("this bed is without Cluster API; the suite `cluster-api` of `make test-real` has one with it")
        return bed

    async def _has_cluster_api(self) -> bool:
        try:
            installed = (await self.api.list(PROVIDER)).items
        except NotFound:
            return False
        return any(provider.get("providerName") == "docker" for provider in installed)

    async def close(self) -> None:
        for way in self._ways.values():
            if isinstance(way, Relay):
                await way.cut()
        await super().close()

    async def clear(self) -> None:
        """Reach everything again, and withdraw every orchestration and what was made for it, then the scenarios' Secrets."""
        for real in self._pool:
            await (await self._way(real)).mend()  # also what a run that was killed has cut
        left = [obj["metadata"] for obj in (await self.api.list(LOW_LEVEL_ORCHESTRATION)).items]
        await asyncio.gather(*(self._withdraw(meta["name"], meta["namespace"]) for meta in left))
        for kind in (DECISION, ADJUSTMENT):  # those that a scenario wrote have no owner, the others' go some time later
            for obj in (await self.api.list(kind)).items:
                with contextlib.suppress(NotFound):
                    await self.api.delete(kind, obj["metadata"]["name"], obj["metadata"]["namespace"])
        for secret in filter(_is_of_a_scenario, (await self.api.list(kinds.SECRET)).items):
            await self.api.delete(kinds.SECRET, secret["metadata"]["name"], secret["metadata"]["namespace"])

    async def _withdraw(self, name: str, namespace: str) -> None:
        try:
            await self.api.delete(LOW_LEVEL_ORCHESTRATION, name, namespace)
        except NotFound:
            return
        await self.gone(LOW_LEVEL_ORCHESTRATION, name, namespace)

    async def placed(self, name: str, spec: Object, namespace: str = "default") -> Object:
        if "apps" in spec and await self._runs_containers():
            spec = {**spec, "apps": [_runnable(app) for app in spec["apps"]]}
        if "clusters" not in spec:
            return spec
        place = self._created if self._creates else self._adopted
        return {**spec, "clusters": [await place(name, entry, namespace) for entry in spec["clusters"]]}

    async def _created(self, _: str, entry: Object, __: str) -> Object:
        return {**{key: value for key, value in entry.items() if key not in CLOUD_ONLY}, "provider": "dev"}

    async def _adopted(self, name: str, entry: Object, namespace: str) -> Object:
        if entry.get("provider") == "existing":
            return entry
        if "liqo" in entry.get("packages", ()):
            assert self._links, "a scenario with Liqo carries the mark `links`, or no suite with real Liqo runs it"
            await self._needs_liqo(self._real(namespace, name, entry["name"]))
        if self._loses:
            await self._make_losable(self._real(namespace, name, entry["name"]))
        await self._share(self.secret(entry["name"], name, namespace), namespace)
        kept = {key: value for key, value in entry.items() if key not in CREATED_ONLY}
        return {**kept, "provider": "existing", "kubeconfig": self.secret(entry["name"], name, namespace)}

    def _real(self, namespace: str, orchestration: str, cluster: str) -> str:
        """The pool's cluster behind a declared one; the same one for as long as the scenario lasts."""
        key = (namespace, orchestration, cluster)
        if key not in self._taken:
            if not self._free:
                pytest.skip(f"needs more than the {len(self._taken)} workload clusters of this bed")
            self._taken[key] = self._free.pop(0)
        return self._taken[key]

    async def _runs_containers(self) -> bool:
        """Whether the pool's nodes run what a pod says; simulated ones take any image for running."""
        if self._containers is None:
            api = await self.client(f"{self._pool[0]}-kubeconfig")
            runtimes = [
                node["status"]["nodeInfo"]["containerRuntimeVersion"] for node in (await api.list(kinds.NODE)).items
            ]
            self._containers = any(runtime.startswith("containerd") for runtime in runtimes)
        return self._containers

    async def _way(self, real: str) -> Leg | Relay:
        """What there is to cut of a cluster of the pool."""
        if real not in self._ways:
            found = await self.api.get(kinds.SECRET, f"{real}-kubeconfig", "default")
            text = base64.b64decode(found["data"]["value"]).decode()
            self._ways[real] = Leg(text) if has_leg(text) else Relay(text)
        return self._ways[real]

    async def _make_losable(self, real: str) -> None:
        """Where only a relay can be cut, the cluster is adopted through it: by a Secret of its own."""
        way = await self._way(real)
        if isinstance(way, Relay):
            data = {"value": await way.open()}
            await self.api.apply(kinds.SECRET.new(_through(real), "default", stringData=data), manager="test")

    async def lose(self, cluster: str, orchestration: str = "o") -> None:
        await self._ways[self._real("default", orchestration, cluster)].cut()

    async def regain(self, cluster: str, orchestration: str = "o") -> None:
        await self._ways[self._real("default", orchestration, cluster)].mend()

    async def _share(self, secret: str, namespace: str) -> None:
        if namespace == "default":
            return
        found = await self.api.get(kinds.SECRET, secret, "default")
        await self.api.apply(kinds.SECRET.new(secret, namespace, data=found["data"]), manager="test")

    async def _needs_liqo(self, real: str) -> None:
        api = await self.client(f"{real}-kubeconfig")
        if not await self.exists(api, kinds.CUSTOM_RESOURCE_DEFINITION, "foreignclusters.core.liqo.io"):
            pytest.skip("real Liqo does not run here: make testbed")

    def secret(self, cluster: str, orchestration: str, namespace: str = "default") -> str:
        real = self._real(namespace, orchestration, cluster)
        way = self._ways.get(real)
        return _through(real) if isinstance(way, Relay) and way.used else f"{real}-kubeconfig"

    def liqo_id(self, cluster: str, orchestration: str, namespace: str = "default") -> str:
        return self._real(namespace, orchestration, cluster)

    def engine_cluster(self, cluster: str, orchestration: str) -> Any:
        raise NotImplementedError("a real cluster can only be asked through its API")

    async def is_gone(self, cluster: str, orchestration: str) -> bool:
        """A created one with its Cluster object; an adopted one stays, without anything of ours."""
        if self._creates:
            return not await self.exists(self.api, kinds.CLUSTER, f"{orchestration}-{cluster}", "default")
        api = await self.workload(cluster, orchestration)
        ours = (await api.list(kinds.NAMESPACE, labels="continuo.dev/orchestration")).items
        return not ours


def _through(real: str) -> str:
    return f"{real}-through-a-relay"


def _is_of_a_scenario(secret: Object) -> bool:
    return any(entry["manager"] == "test" for entry in secret["metadata"].get("managedFields", ()))


def _runnable(app: Object) -> Object:
    """The application with an image that is there: the scenarios' own are nobody's."""
    return {**app, "components": [{**part, "image": _image(part["image"])} for part in app["components"]]}


def _image(wanted: str) -> str:
    return "localhost/httpbin:1" if wanted.startswith("registry.example.org/") else wanted
