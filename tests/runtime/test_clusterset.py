from __future__ import annotations

import asyncio

import pytest
from runtime_double import WIDGET, Double, run, widget

from continuo.resources.errors import BadRequest
from continuo.resources.kinds import CUSTOM_RESOURCE_DEFINITION, NODE
from continuo.runtime.clusterset import ClusterSet
from continuo.runtime.informer import Watch


class World:
    """Clusters by kubeconfig; the text of a kubeconfig is the cluster's name and a credential."""

    def __init__(self) -> None:
        self.stores: dict[str, Double] = {}
        self.clients: list[Double] = []
        self.seen: list[str] = []

    def connect(self, kubeconfig: str, *, name: str) -> Double:
        if kubeconfig == "nonsense":
            raise BadRequest("the kubeconfig must be a mapping")
        store = self.stores.setdefault(kubeconfig.split("/")[0], Double(name))
        client = Double(name)
        client.__dict__ = {**store.__dict__, "closed": False}
        self.clients.append(client)
        return client

    def clusters(self, *watches: Watch) -> ClusterSet:
        made = ClusterSet(watches or [Watch(WIDGET)], self.connect)
        made.on_change(self._changed)
        made.on_membership(lambda name, what: self.seen.append(f"{name} {what}"))
        return made

    def _changed(self, cluster: str, kind: object, old: dict | None, new: dict | None) -> None:
        verb = "+" if old is None else "-" if new is None else "~"
        self.seen.append(f"{cluster} {verb}{(new or old)['metadata']['name']}")


def test_changes_carry_the_name_of_their_cluster() -> None:
    async def main() -> None:
        world = World()
        clusters = world.clusters()
        green = await clusters.put("green", "green/1")
        rose = await clusters.put("rose", "rose/1")
        await green.wait_synced()
        await rose.wait_synced()
        world.clients[0].put(widget("a"))
        world.clients[1].put(widget("b"))
        await asyncio.sleep(1)
        assert world.seen == ["green added", "rose added", "green +a", "rose +b"]
        assert [len(member.cache(WIDGET)) for member in clusters] == [1, 1]
        await clusters.close()

    run(main())


def test_a_removed_cluster_is_followed_no_more_and_closed() -> None:
    async def main() -> None:
        world = World()
        clusters = world.clusters()
        await (await clusters.put("green", "green/1")).wait_synced()
        await clusters.remove("green")
        await clusters.remove("green")
        world.clients[0].put(widget("a"))
        await asyncio.sleep(1)
        assert world.seen == ["green added", "green removed"]
        assert world.clients[0].closed
        assert clusters.get("green") is None
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_other_credentials_replace_the_client_and_keep_the_cache() -> None:
    async def main() -> None:
        world = World()
        clusters = world.clusters()
        member = await clusters.put("green", "green/1")
        await member.wait_synced()
        world.clients[0].put(widget("a"))
        await asyncio.sleep(1)
        assert await clusters.put("green", "green/1") is member
        assert await clusters.put("green", "green/2") is member
        assert [client.closed for client in world.clients] == [True, False]
        world.clients[1].put(widget("b"))
        await asyncio.sleep(1)
        assert world.seen == ["green added", "green +a", "green replaced", "green +b"]
        await clusters.close()

    run(main())


def test_a_kubeconfig_that_does_not_fit_is_the_callers_to_tell() -> None:
    async def main() -> None:
        clusters = World().clusters()
        with pytest.raises(BadRequest, match="must be a mapping"):
            await clusters.put("green", "nonsense")
        assert "green" not in clusters

    run(main())


def test_an_unreachable_cluster_is_named_and_disturbs_no_other() -> None:
    async def main() -> None:
        world = World()
        world.stores = {"green": Double("green"), "rose": Double("rose")}
        world.stores["green"].down = True
        clusters = world.clusters()
        green, rose = await clusters.put("green", "green/1"), await clusters.put("rose", "rose/1")
        await asyncio.sleep(30)
        assert (green.synced, rose.synced) == (False, True)
        assert green.stale_since is not None
        assert green.trouble == "green is down"
        assert (rose.stale_since, rose.trouble) == (None, "")
        await clusters.close()

    run(main())


def test_a_kind_is_followed_as_soon_as_its_crd_is_established() -> None:
    async def main() -> None:
        world = World()
        store = world.stores["green"] = Double("green")
        store.unserved.add(WIDGET)
        clusters = world.clusters(Watch(NODE), Watch(WIDGET, optional=True))
        member = await clusters.put("green", "green/1")
        await member.wait_synced()
        await asyncio.sleep(100)
        client = world.clients[0]
        lists = client.requests["list"]
        client.unserved.clear()
        client.put(widget("a"))
        crd = CUSTOM_RESOURCE_DEFINITION.new(WIDGET.resource, spec={"versions": ["long"]})
        client.put(crd)
        await asyncio.sleep(1)
        assert client.requests["list"] == lists, "not before it is established"
        client.put({**crd, "status": {"conditions": [{"type": "Established", "status": "True"}]}})
        await asyncio.sleep(1)
        assert len(member.cache(WIDGET)) == 1
        [kept] = member.cache(CUSTOM_RESOURCE_DEFINITION)
        assert "spec" not in kept
        await clusters.close()

    run(main())


def test_hundreds_of_clusters_are_one_task_per_watch() -> None:
    async def main() -> None:
        world = World()
        clusters = world.clusters(Watch(WIDGET), Watch(NODE))
        for number in range(300):
            await clusters.put(f"c{number}", f"c{number}/1")
        await asyncio.gather(*(member.wait_synced() for member in clusters))
        assert len(asyncio.all_tasks()) == 1 + 600
        await asyncio.sleep(3600)
        assert sum(client.requests["list"] for client in world.clients) == 600
        await clusters.close()
        assert len(asyncio.all_tasks()) == 1

    run(main())
