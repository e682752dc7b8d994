"""Two (or more) embedded clusters with Liqo, and the driver that does what `continuo.federation` says."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
import yaml

from continuo.embedded.api import ClusterApi
from continuo.embedded.port import Write
from continuo.embedded.standins.liqo import LiqoStandIn, install
from continuo.embedded.standins.workload import workload_standin
from continuo.federation.links import advance
from continuo.federation.model import Apply, ClusterWrite, LinkPhase, LinkProgress, LinkSettings
from continuo.federation.state import EndState, end_state
from continuo.federation.unlink import retreat
from continuo.federation.watches import WATCHES
from continuo.resources import kinds
from continuo.resources.crds import workload_crds
from continuo.resources.errors import ApiError, NotFound
from continuo.resources.meta import Kind, Object, labels_of

WRITE = Write(manager="continuo", force=True)
BY_KIND = {(k.api_version, k.kind): k for k in vars(kinds).values() if isinstance(k, Kind)}
CRDS = workload_crds()


def watched(kind: Kind, obj: Object) -> bool:
    """Whether one of federation's watches would bring this object into a cache."""
    return any(
        watch.kind == kind
        and watch.namespace in (None, obj["metadata"].get("namespace"))
        and (watch.labels is None or selects(watch.labels, labels_of(obj)))
        and (watch.fields is None or watch.fields == f"metadata.name={obj['metadata']['name']}")
        for watch in WATCHES
    )


def selects(selector: str, labels: dict[str, str]) -> bool:
    key, _, values = selector.partition(" in ")
    if values:
        return labels.get(key) in values.strip("()").split(",")
    key, equals, value = selector.partition("=")
    return labels.get(key) == value if equals else key in labels


class ApiCache:
    """A federation cache straight over an API, which shows only what `WATCHES` asks for."""

    def __init__(self, api: ClusterApi) -> None:
        self._api = api

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        found = self._api.find(kind, name, namespace)
        return found if found is not None and watched(kind, found) else None

    def list(self, kind: Kind, namespace: str = "") -> list[Object]:
        try:
            return [obj for obj in self._api.list(kind, namespace) if watched(kind, obj)]
        except NotFound:
            return []


class Credentials:
    """Kubeconfigs of the right shape, without a server behind them."""

    def kubeconfig(self, url: str, cluster: str, user: str, groups: tuple[str, ...]) -> str:
        authority = base64.b64encode(b"an authority").decode()
        return yaml.safe_dump(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": cluster,
                "clusters": [
                    {"name": cluster, "cluster": {"server": url, "certificate-authority-data": authority}}
                ],
                "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
                "users": [{"name": user, "user": {"token": f"{user}:{','.join(groups)}"}}],
            }
        )  # fmt: skip


class Bench:
    """Clusters by name (which is also Liqo's identifier), and links between them."""

    def __init__(self, world: Any) -> None:
        self.world = world
        world.engine.credentials = Credentials()
        world.engine.start()
        world.start(workload_standin(world.engine, rng=Random(3), settings=world.settings))
        self.liqo = LiqoStandIn(world.engine, rng=Random(5), settings=world.settings)
        world.start(self.liqo)
        self.settings = LinkSettings(service_type="NodePort", resources={"cpu": "64", "memory": "64Gi", "pods": "500"})
        self.applied = 0

    def cluster(self, name: str, pods: str = "10.200.0.0/16", services: str = "10.0.0.0/24") -> ClusterApi:
        api = self.world.engine.create_cluster(name)
        for definition in CRDS:
            api.create(definition, Write(manager="helm"))
        self.world.node(api, f"{name}-1", cpu=32, memory=65536, pods=1000, cluster_cidr=pods)
        self.world.run(1)
        install(api, name, pods, services, rng=Random(name))
        self.world.run(2)
        return api

    def api(self, name: str) -> ClusterApi:
        return self.world.engine.cluster(name)

    def end(self, name: str, peer: str) -> EndState:
        api = self.api(name)
        return end_state(name, ApiCache(api), peer, reachable=api.outage is None)

    def perform(self, write: ClusterWrite) -> None:
        api, op = self.api(write.cluster), write.op
        self.applied += 1
        if isinstance(op, Apply):
            kind = BY_KIND[op.object["apiVersion"], op.object["kind"]]
            meta = op.object["metadata"]
            api.patch(kind, meta["name"], meta.get("namespace", ""), "apply", op.object, WRITE)
            return
        try:
            api.delete(op.kind, op.name, op.namespace)
        except NotFound:
            return

    def step(self, first: str, second: str, settings: LinkSettings | None = None) -> LinkProgress:
        return advance(self.end(first, second), self.end(second, first), settings or self.settings)

    def link(
        self, first: str, second: str, settings: LinkSettings | None = None,
        lose: Callable[[], bool] = lambda: False, rounds: int = 60,
    ) -> LinkProgress:  # fmt: skip
        """Advance until connected; `lose` says which writes never arrive."""
        return self._drive(lambda: self.step(first, second, settings), LinkPhase.CONNECTED, lose, rounds)

    def unlink(
        self, first: str, second: str, settings: LinkSettings | None = None,
        lose: Callable[[], bool] = lambda: False, rounds: int = 60,
    ) -> LinkProgress:  # fmt: skip
        return self._drive(
            lambda: retreat(self.end(first, second), self.end(second, first), settings or self.settings),
            LinkPhase.GONE, lose, rounds,
        )  # fmt: skip

    def _drive(
        self, look: Callable[[], LinkProgress], goal: LinkPhase, lose: Callable[[], bool], rounds: int
    ) -> LinkProgress:
        progress = look()
        for _ in range(rounds):
            for write in progress.writes:
                if lose():
                    continue
                try:
                    self.perform(write)
                except ApiError:
                    if goal is LinkPhase.CONNECTED:
                        raise
            self.world.run(0.5)
            progress = look()
            if progress.phase is goal:
                self.world.run(0.5)
                return look()
        raise AssertionError(f"not {goal} after {rounds} rounds: {progress}")


@pytest.fixture
def bench(make_world: Callable[..., Any]) -> Iterator[Bench]:
    yield Bench(make_world())


def linked(bench: Bench) -> Bench:
    bench.cluster("rome")
    bench.cluster("milan")
    bench.link("rome", "milan")
    return bench


@pytest.fixture
def pair(bench: Bench) -> Bench:
    """rome and milan with the same pod network, linked both ways."""
    return linked(bench)


@pytest.fixture(scope="module")
def lasting_pair(make_lasting_world: Callable[..., Any]) -> Bench:
    """The same, once for a file: for tests after which the link is whole again."""
    return linked(Bench(make_lasting_world()))
