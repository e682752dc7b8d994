"""Client and runtime against the embedded engine over HTTPS: what the doubles promise holds on a whole API server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.kube.transport import Transports
from continuo.resources.errors import AlreadyExists, Conflict, NotFound, Unauthorized
from continuo.resources.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, EVENT, LEASE
from continuo.resources.meta import Kind, key_of
from continuo.runtime.clusterset import ClusterSet
from continuo.runtime.events import EventRecorder
from continuo.runtime.informer import Informer, Watch
from continuo.runtime.leases import LeaderElection

pytestmark = pytest.mark.anyio
WIDGET = Kind("example.dev", "v1", "Widget", "widgets")


class Engine:
    def __init__(self, engine: EmbeddedEngine, server: Server) -> None:
        self.engine, self.server = engine, server

    def kubeconfig(self, name: str) -> str:
        self.engine.create_cluster(name)
        return self.server.kubeconfig(self.server.url(name), name)


@asynccontextmanager
async def running() -> AsyncIterator[Engine]:
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine, tls=False)
    await server.start()
    try:
        yield Engine(engine, server)
    finally:
        await server.stop()
        await engine.stop()


@asynccontextmanager
async def green() -> AsyncIterator[KubeCluster]:
    async with running() as engine:
        cluster = connect(engine.kubeconfig("green"), name="green")
        try:
            yield cluster
        finally:
            await cluster.close()


async def until(happened: Callable[[], bool], changed: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        while not happened():
            changed.clear()
            await changed.wait()


async def test_the_verbs_and_their_errors() -> None:
    async with green() as cluster:
        config = CONFIG_MAP.new("a", "default", data={"x": "1"})
        created = await cluster.create(config)
        with pytest.raises(AlreadyExists):
            await cluster.create(config)
        applied = await cluster.apply({**config, "data": {"x": "2"}}, manager="me")
        assert applied["data"] == {"x": "2"}
        with pytest.raises(Conflict, match="me"):
            await cluster.apply({**config, "data": {"x": "3"}}, manager="other", force=False)
        with pytest.raises(Conflict):
            await cluster.replace({**created, "data": {}})
        await cluster.apply({**config, "data": {"x": "9"}}, manager="me", dry_run=True)
        await cluster.patch(CONFIG_MAP, "a", [{"op": "add", "path": "/data/y", "value": "1"}], "default", type="json")
        assert (await cluster.get(CONFIG_MAP, "a", "default"))["data"] == {"x": "2", "y": "1"}
        await cluster.delete(CONFIG_MAP, "a", "default", uid=created["metadata"]["uid"])
        with pytest.raises(NotFound):
            await cluster.get(CONFIG_MAP, "a", "default")


async def test_a_thousand_objects_come_in_pages() -> None:
    async with green() as cluster:
        objects = [CONFIG_MAP.new(f"c{number:04}", "default", data={"n": str(number)}) for number in range(1100)]
        await asyncio.gather(*map(cluster.create, objects))
        cluster.requests.clear()
        listing = await cluster.list(CONFIG_MAP, "default")
        names = [item["metadata"]["name"] for item in listing.items if "n" in item["data"]]
        assert names == [obj["metadata"]["name"] for obj in objects]
        assert cluster.requests["list"] == 3


async def test_a_wrong_token_is_unauthorized() -> None:
    async with running() as engine:
        text = engine.kubeconfig("green").replace("token: ", "token: x")
        cluster = connect(text)
        with pytest.raises(Unauthorized):
            await cluster.list(CONFIG_MAP)
        await cluster.close()


@pytest.mark.parametrize("seed", range(3))
async def test_after_a_random_story_the_cache_is_what_the_server_has(seed: int) -> None:
    rng = random.Random(seed)
    async with green() as cluster:
        informer, changed = Informer(cluster, Watch(CONFIG_MAP, "default"), rng=rng), asyncio.Event()
        informer.on_change(lambda old, new: changed.set())
        informer.start()

        async def write() -> None:
            config = CONFIG_MAP.new(f"c{rng.randrange(10)}", "default", data={"n": str(rng.random())})
            if rng.random() < 0.7:
                await cluster.apply(config, manager="story")
            else:
                with suppress(NotFound):
                    await cluster.delete(CONFIG_MAP, config["metadata"]["name"], "default")

        for _ in range(15):
            await asyncio.gather(*(write() for _ in range(10)))
        truth = {key_of(obj): obj["data"] for obj in (await cluster.list(CONFIG_MAP, "default")).items}
        await until(lambda: {key_of(obj): obj["data"] for obj in informer.cache} == truth, changed)
        assert informer.lists == 1
        await informer.stop()


def crd() -> dict[str, object]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = {
        "group": WIDGET.group,
        "scope": "Namespaced",
        "names": {"plural": WIDGET.plural, "singular": "widget", "kind": WIDGET.kind},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
    }
    return CUSTOM_RESOURCE_DEFINITION.new(WIDGET.resource, spec=spec)


async def test_a_set_follows_clusters_on_shared_connections_and_kinds_that_come_later() -> None:
    transports, changed = Transports(), asyncio.Event()
    async with running() as engine:
        clusters = ClusterSet(
            [Watch(CONFIG_MAP), Watch(WIDGET, optional=True)], partial(connect, transports=transports)
        )
        clusters.on_change(lambda name, kind, old, new: changed.set())
        for name in ("green", "rose"):
            member = await clusters.put(name, engine.kubeconfig(name))
            await asyncio.wait_for(member.wait_synced(), 10)
        assert transports.open == 1
        rose = clusters.get("rose")
        assert rose is not None
        await rose.cluster.create(crd())  # type: ignore[arg-type]
        await until(lambda: bool(rose.caches()[CUSTOM_RESOURCE_DEFINITION][0]), changed)
        await rose.cluster.create(WIDGET.new("a", "default"))
        await until(lambda: len(rose.cache(WIDGET)) == 1, changed)
        await clusters.close()
        assert transports.open == 0


async def test_leases_and_events_are_accepted_by_the_server() -> None:
    async with green() as cluster:
        election = LeaderElection(cluster, "operator", "default", "a")
        assert await election.run(lambda: asyncio.sleep(0))
        spec = (await cluster.get(LEASE, "operator", "default"))["spec"]
        assert spec["holderIdentity"] == ""
        obj = await cluster.create(CONFIG_MAP.new("a", "default"))
        events = EventRecorder(cluster, "continuo.dev/operator", "operator-1")
        for _ in range(3):
            events.record(obj, "Normal", "Placed", "on green")
            await events.stop()
        [event] = (await cluster.list(EVENT, "default")).items
        assert event["regarding"]["uid"] == obj["metadata"]["uid"]
        assert event["series"]["count"] == 3
        assert events.dropped == 0
