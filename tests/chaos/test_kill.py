"""The operator is killed with SIGKILL at random moments, again and again, while everything that it does is going on.

The engine runs here; the operator is a process of its own that is started anew after each kill. Each declaration converges,
no object is created twice, and after the deletion none is left behind. The seed is printed; CONTINUO_SEED repeats a run,
CONTINUO_KILLS makes it longer.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continuo.cli.host import Host
from continuo.embedded.standins.settings import Settings
from continuo.orchestrator.observe import MANAGEMENT_KINDS
from continuo.resources import kinds
from continuo.resources.meta import Object, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from scenarios.beds import Bed, is_ready

from .victims import Nursery, Victim, Witness

pytestmark = pytest.mark.anyio

KILLS = int(os.environ.get("CONTINUO_KILLS", "30"))
FEW = 4
"""Kills while all is made, and while it goes, in the quick run: one act that has everything."""


def cluster(name: str, **more: object) -> Object:
    fields = {key.replace("_", "-"): value for key, value in more.items()}
    return {"name": name, "kubernetes-version": "v1.34.2", "packages": ["liqo"], "worker-machine-count": 1, **fields}


def component(name: str, selector: str) -> Object:
    expose = [{"containerPort": 80, "clusterPort": 80}]
    return {"name": name, "image": f"registry.example.org/{name}:1", "cluster-selector": selector, "expose": expose}


def app(home: str, **places: str) -> Object:
    return {"name": "shop", "owner": "ann", "cluster": home, "components": [component(n, c) for n, c in places.items()]}


MOVED = app("green", web="rose", db="rose")
GREEN, ROSE, LINK = cluster("green"), cluster("rose"), ["green", "rose"]
STORY: list[Object] = [
    {"clusters": [GREEN]},
    {"clusters": [GREEN, ROSE], "apps": [app("green", web="green")]},
    {"clusters": [GREEN, ROSE], "links": [LINK], "apps": [app("green", web="green", db="rose")]},
    {"clusters": [{**GREEN, "worker-machine-count": 3}, ROSE], "links": [LINK], "apps": [MOVED]},
    {"clusters": [GREEN, {**ROSE, "control-plane-count": 3}], "links": [LINK], "apps": [app("green", web="green")]},
    {"clusters": [GREEN, ROSE], "apps": [app("green", web="green")]},
    {"clusters": [GREEN]},
]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Bed, Witness, Victim]]:
    seed = int(os.environ.get("CONTINUO_SEED", "20261122"))
    print(f"seed {seed}")
    host = Host(None, standins=Settings(speed=10.0), seed=seed)
    await host.start()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(host.engine.kubeconfig("management"), encoding="utf-8")
    bed, witness, nursery = Bed(host), Witness(host), await Nursery.open()
    victim = Victim(nursery, kubeconfig, witness, random.Random(seed))
    await bed.credentials()
    try:
        yield bed, witness, victim
    finally:
        await victim.end()
        await nursery.close()
        await bed.close()
        await host.stop()


@pytest.mark.parametrize("kills, story", [
    pytest.param(FEW, STORY[2:3], id="few"), pytest.param(KILLS, STORY, id="many", marks=pytest.mark.long),
])  # fmt: skip
async def test_killed_at_any_moment_it_converges(
    world: tuple[Bed, Witness, Victim], kills: int, story: list[Object]
) -> None:
    bed, witness, victim = world

    def declared() -> Object | None:
        return bed.host.engine.management.find(LOW_LEVEL_ORCHESTRATION, "o", "default")

    while victim.kills < kills:
        for number, spec in enumerate(story):
            witness.forget()
            await bed.apply("o", spec)
            await victim.torture(min(kills // len(story) + 2, kills - victim.kills), lambda: is_ready(declared()))
            obj = await bed.ready("o")
            assert witness.twice() == [], f"made twice in act {number}"
            _check(bed, spec, obj)
            await victim.end()
        await bed.api.delete(LOW_LEVEL_ORCHESTRATION, "o", "default")
        await victim.torture(kills // len(story), lambda: declared() is None)
        await bed.gone(LOW_LEVEL_ORCHESTRATION, "o", "default")
        _check_nothing_left(bed)
        await victim.end()
    print(f"{victim.kills} kills, {victim.at_writes} of them at a write of its own")
    assert victim.at_writes > kills // 5


def _check(bed: Bed, spec: Object, obj: Object) -> None:
    """What is there is what was declared, machine for machine and pod for pod."""
    management = bed.host.engine.management
    wanted = {f"o-{c['name']}": c.get("control-plane-count", 1) + c["worker-machine-count"] for c in spec["clusters"]}
    machines = Counter(labels_of(m)["cluster.x-k8s.io/cluster-name"] for m in management.list(kinds.MACHINE))
    assert dict(machines) == wanted
    assert {c["metadata"]["name"] for c in management.list(kinds.CLUSTER)} == set(wanted)
    green = bed.engine_cluster("green", "o")
    components = [c for a in spec.get("apps", ()) for c in a["components"]]
    deployments = {d["metadata"]["name"] for d in green.list(kinds.DEPLOYMENT, "shop")}
    assert deployments == {c["name"] for c in components}
    running = [p for p in green.list(kinds.POD, "shop") if "deletionTimestamp" not in p["metadata"]]
    assert len(running) == len(components)
    assert len(obj["status"].get("links") or ()) == len(spec.get("links") or ())


def _check_nothing_left(bed: Bed) -> None:
    management = bed.host.engine.management
    assert [api.name for api in bed.host.engine.clusters()] == ["management"]
    for kind in (
        *MANAGEMENT_KINDS,
        kinds.MACHINE,
        kinds.MACHINE_SET,
        kinds.HELM_RELEASE_PROXY,
        kinds.OPENSTACK_MACHINE,
    ):
        assert management.list(kind) == [], kind.kind
    left = {secret["metadata"]["name"] for secret in management.list(kinds.SECRET, "default")}
    assert left == {"openstack-cloud-config"}
