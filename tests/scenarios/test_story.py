"""The whole story of closed loops: load, room, a cluster on demand, an outage, the way home, and less again.

Every pod of every cluster is looked at with every change that the engine makes, and so is every status: nothing is lost,
nothing is served twice, and every step has a Decision that says why.
"""

from __future__ import annotations

from typing import Any

import pytest

from continuo.cli.host import Host
from continuo.embedded.port import Api, Write
from continuo.embedded.standins import faults
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Object

from .beds import Bed
from .specs import PEER, app, cluster, component, item
from .witness import Witness

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.links,
    pytest.mark.embedded_only(reason="its witness sees every write of the engine, and its clusters on demand run pods"),
]

PACKAGES = ["liqo"]
WEST, EAST = (cluster(name, packages=PACKAGES, worker_machine_flavor="m1.small") for name in ("west", "east"))
BURST = cluster("burst", packages=PACKAGES, worker_machine_flavor="m1.large")
LOOPS: list[Object] = [
    {
        "name": "web-pods", "every": 1, "cool-down": 0,
        "scale-component": {
            "component": "shop/web", "metric": {"target": 0.7}, "max": 9, "step": 8, "down-after": 2,
        },
    },
    {
        "name": "more-room", "every": 1, "cool-down": 0,
        "provision-cluster": {"template": BURST, "capacity": {"cpu": "7"}, "remove-after": 1, "consolidate": True},
    },
    {"name": "away", "cool-down": 0, "failover": {"after": 1, "return-after": 1, "moves-per-minute": 100}},
]  # fmt: skip


def asking(cpu: str) -> Object:
    return {"resources": {"requests": {"cpu": cpu}}, "expose": PEER}


def declaration() -> Object:
    web = component("web", **asking("400m"), placement={})
    database = component("db", "east", **asking("300m"))
    desk = app("desk", "east", component("ui", **asking("100m")))
    return {"clusters": [WEST, EAST], "apps": [app("shop", "west", web, database), desk], "policies": LOOPS}


async def load(bed: Bed, cpu: str) -> None:
    """What the pods of web have to do together."""
    west = await bed.workload("west", "o")
    note = {"metadata": {"annotations": {"continuo.dev/simulated-load": f"cpu={cpu}"}}}
    await west.patch(kinds.DEPLOYMENT, "web", note, "shop")


def runs(path: str, *where: str, ready: str | None = None) -> Any:
    """Whether a component runs in one of those clusters, with so many pods ready."""

    def holds(obj: Object | None) -> bool:
        told = item(obj, "component", path)
        return told.get("cluster") in where and told.get("phase") == "Running" and ready in (None, told.get("ready"))

    return holds


def ended(name: str) -> Any:
    """Whether the last decision of a loop was found to be carried out."""

    def holds(obj: Object | None) -> bool:
        loops = ((obj or {}).get("status") or {}).get("loops") or ()
        return any(e["name"] == name and str(e.get("outcome", "")).startswith("Verified") for e in loops)

    return holds


async def decisions(bed: Bed, source: str) -> list[Object]:
    found = (await bed.api.list(DECISION, "default")).items
    mine = [d for d in found if d["spec"]["source"] == source]
    return sorted(mine, key=lambda d: int(d["metadata"]["resourceVersion"]))


@pytest.mark.long
async def test_from_load_to_load(bed: Bed) -> None:
    witness = Witness(bed.host.engine, "o")
    await bed.apply("o", declaration())
    await bed.ready("o")
    witness.begin()

    await load(bed, "800m")  # a little more: there is room for it
    await bed.until("o", runs("shop/web", "west", "east", ready="3/3"))

    await load(bed, "2500m")  # much more: nine pods fit nowhere
    await bed.until("o", runs("shop/web", "burst-1", ready="9/9"))
    await bed.until("o", ended("more-room"))

    inject = faults.Faults(bed.host.engine)
    witness.died("east")
    inject.inject(faults.API_OUTAGE, kinds.CLUSTER, "o-east", "default")
    await bed.until("o", runs("shop/db", "west", "burst-1"))
    await bed.until("o", runs("desk/ui", "west", "burst-1"))
    inject.heal(faults.API_OUTAGE, kinds.CLUSTER, "o-east", "default")
    witness.lives("east")
    await bed.until("o", runs("shop/db", "east"))
    await bed.until("o", runs("desk/ui", "east"))

    await load(bed, "200m")  # and back
    await bed.until("o", runs("shop/web", "west", "east", ready="1/1"))
    await bed.until("o", lambda obj: item(obj, "clusters", "burst-1") == {})
    await bed.ready("o")
    witness.end()

    laid = (await bed.api.get(ADJUSTMENT, "o", "default"))["spec"]
    assert not any(laid.get(key) for key in ("clusters", "homes", "workers"))
    assert [place["component"] for place in laid["places"]] == ["shop/web"]
    await explained(bed, witness)


async def explained(bed: Bed, witness: Witness) -> None:
    """Every step has its decision, with a reason that a person understands, and an end."""
    told = {
        source: [d["spec"]["reason"] for d in await decisions(bed, source)]
        for source in ("policy/web-pods", "policy/more-room", "policy/away")
    }
    assert told == {
        "policy/web-pods": [
            "cpu 2.00 of 0.70 on 1 pod: 3 are needed",
            "cpu 2.08 of 0.70 on 3 pods: 9 are needed",
            "cpu 0.05 of 0.70 on 9 pods; 1 was enough for 2 s",
        ],
        "policy/more-room": [
            "shop/web fits nowhere: burst-1 for it",
            "shop/web could have lived elsewhere than on burst-1 for 1 s",
            "burst-1 has not been needed for 1 s",
        ],
        "policy/away": ["east does not answer for 1 s or more", "east has been well for 1 s"],
    }
    stages = {(d["status"] or {}).get("stage") for d in (await bed.api.list(DECISION, "default")).items}
    assert stages <= {"Verified", "Superseded"}
    first, *moves, last = witness.moves
    assert (first, moves[0]) == (("shop/web", None, "west"), ("shop/web", "west", "burst-1"))
    away, back = (
        {("desk/ui", "east", "west"), ("shop/db", "east", "west")},
        {("desk/ui", "west", "east"), ("shop/db", "west", "east")},
    )
    assert (set(moves[1:3]), set(moves[3:])) == (away, back)
    assert last[:2] == ("shop/web", "burst-1")


async def test_the_witness_sees_what_is_lost_and_what_is_served_twice(engine: Host) -> None:
    """A witness that never complains would be none: pods and statuses are put together that contradict each other."""
    apis = {name: engine.engine.create_cluster(f"o-{name}") for name in ("west", "east")}
    witness = Witness(engine.engine, "o")
    serve(apis["west"], "web-1", "o-west-1")
    witness.seen("shop/web", "west")
    witness.begin()
    serve(apis["west"], "web-2", "o-east")
    assert witness.complaints == ["shop/web runs on west, and ['east'] serve it, too"]
    apis["west"].delete(kinds.POD, "web-2", "default", grace_seconds=0)
    witness.complaints.clear()
    witness.died("west")
    serve(apis["east"], "web-3", "o-east-1")
    assert witness.complaints == ["shop/web runs on west, and ['east'] serve it, too"]
    witness.complaints.clear()
    witness.seen("shop/web", "east")
    apis["east"].delete(kinds.POD, "web-3", "default", grace_seconds=0)
    assert witness.complaints[0] == "nobody serves shop/web, seen last on east"
    with pytest.raises(AssertionError, match="nobody serves"):
        witness.end()


def serve(api: Api, name: str, node: str) -> None:
    """A ready pod of shop/web on a node."""
    labels = {"continuo.dev/application": "shop", "continuo.dev/component": "web"}
    spec = {"nodeName": node, "containers": [{"name": "c", "image": "registry.example.org/x:1"}]}
    pod = api.create(kinds.POD.new(name, "default", metadata={"labels": labels}, spec=spec), Write(trusted=True))
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    api.set_status(pod, status, "kubelet")
