"""Closed loops whose operator is killed with SIGKILL at random, while loads change, clusters are lost and return, others
decide too, and the declaration changes: in the end everything is as declared, once, and every decision has an end.

The seed is printed; CONTINUO_SEED repeats a run, CONTINUO_TURNS makes it longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continuo.cli.host import Host
from continuo.embedded.port import Api, Write
from continuo.embedded.standins import faults
from continuo.embedded.standins.settings import Settings
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Object, deleting, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from scenarios.beds import PATIENCE, Bed, is_ready
from scenarios.specs import PEER, app, cluster, component, item

from .victims import Nursery, Victim, Witness

pytestmark = [pytest.mark.anyio, pytest.mark.long]

TURNS = int(os.environ.get("CONTINUO_TURNS", "5"))
ENDS = {"Verified", "Superseded", "Refused", "Expired"}
MOST_PODS = 6
CLUSTERS = [cluster(name, packages=["liqo"], worker_machine_flavor="m1.small") for name in ("east", "north", "west")]
BURST = cluster("burst", packages=["liqo"], worker_machine_flavor="m1.large")
METRIC = {"component": "shop/web", "metric": {"target": 0.7}, "max": MOST_PODS, "step": 8, "down-after": 1}
OFTEN = {"every": 1, "cool-down": 0, "actions-per-hour": 1000}
PODS: Object = {"name": "pods", **OFTEN, "scale-component": METRIC}
AWAY: Object = {
    "name": "away", **OFTEN, "failover": {"after": 1, "return-after": 1, "moves-per-minute": 1000},
}  # fmt: skip
ROOM: Object = {
    "name": "room", **OFTEN,
    "provision-cluster": {"template": BURST, "capacity": {"cpu": "7"}, "remove-after": 1, "consolidate": True},
}  # fmt: skip


def asking(cpu: str) -> Object:
    return {"resources": {"requests": {"cpu": cpu}}, "expose": PEER}


def declaration(*policies: Object, more: bool = False, pods: int = 1, db: str = "east") -> Object:
    parts = [component("web", **asking("500m"), placement={}, replicas=pods), component("db", db, **asking("300m"))]
    if more:
        parts.append(component("log", **asking("100m"), placement={"apart-from": ["db"]}))
    return {"clusters": CLUSTERS, "apps": [app("shop", "west", *parts)], "policies": list(policies)}


class Hasty(Victim):
    """One that nobody waits for when nothing happens."""

    async def _something(self) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), 0.15)
        self.alive()

    async def until(self, holds: Callable[[], bool]) -> bool:
        """Whether it comes to be so while the last one lives."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not holds():
                    await self._something()
        return holds()


class Turns:
    """What happens to the operator's world."""

    def __init__(self, bed: Bed, rng: random.Random) -> None:
        self.bed, self._rng = bed, rng
        self._faults = faults.Faults(bed.host.engine)
        self.lost = ""
        self._decided = 0
        self.deeds: list[str] = []

    async def one(self) -> None:
        turn = self._rng.choice([self._load, self._outage, self._outage, self._decide, self._declare])
        await turn()

    async def _load(self) -> None:
        self._put_load(self._rng.choice(["100m", "900m", "2500m"]))

    def _put_load(self, cpu: str) -> None:
        self.deeds.append(f"load {cpu}")
        note = {"metadata": {"annotations": {"continuo.dev/simulated-load": f"cpu={cpu}"}}}
        for _, api in workloads(self.bed):
            if api.find(kinds.DEPLOYMENT, "web", "shop") is not None:
                api.patch(kinds.DEPLOYMENT, "web", "shop", "merge", note, Write(manager="test"))

    async def _outage(self) -> None:
        if self.lost:
            self._heal()
            return
        self.lost = self._rng.choice(["east", "north", "west"])
        self.deeds.append(f"lose {self.lost}")
        self._faults.inject(faults.API_OUTAGE, kinds.CLUSTER, f"o-{self.lost}", "default")

    def _heal(self) -> None:
        self.deeds.append(f"heal {self.lost}")
        self._faults.heal(faults.API_OUTAGE, kinds.CLUSTER, f"o-{self.lost}", "default")
        self.lost = ""

    async def _decide(self) -> None:
        """An external scheduler, which knows as little as it likes."""
        self._decided += 1
        target, number = self._rng.choice(["east", "north", "west", "violet"]), self._rng.randint(1, 4)
        actions: list[Object] = [
            {"op": "migrateComponent", "component": "shop/web", "cluster": target},
            {"op": "scaleComponent", "component": "shop/db", "replicas": number},
        ]
        spec = {"orchestration": "o", "source": "external/ai", "reason": "so it feels",
                "actions": self._rng.sample(actions, 1)}  # fmt: skip
        self.deeds.append(f"decide {spec['actions']}")
        await self.bed.api.create(DECISION.new(f"theirs-{self._decided}", "default", spec=spec), manager="test")

    async def _declare(self) -> None:
        policies = [policy for policy in (PODS, AWAY, ROOM) if self._rng.random() < 0.8]
        renamed = [
            {**policy, "name": f"my-{policy['name']}"} if self._rng.random() < 0.2 else policy for policy in policies
        ]
        more, pods, db = self._rng.random() < 0.5, self._rng.randint(1, 3), self._rng.choice(["east", "north"])
        self.deeds.append(f"declare {[p['name'] for p in renamed]} {more} {pods} {db}")
        await self.bed.apply("o", declaration(*renamed, more=more, pods=pods, db=db))

    async def rest(self) -> None:
        """Everything is well again, and hardly anything is to do."""
        if self.lost:
            self._heal()
        self._put_load("100m")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Bed, Hasty, random.Random]]:
    seed = int(os.environ.get("CONTINUO_SEED", "20261122"))
    print(f"seed {seed}, {TURNS} turns")
    host = Host(None, standins=Settings(speed=20.0), seed=seed)
    await host.start()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(host.engine.kubeconfig("management"), encoding="utf-8")
    bed, nursery, rng = Bed(host), await Nursery.open("hasty"), random.Random(seed)
    victim = Hasty(nursery, kubeconfig, Witness(host), rng)
    await bed.credentials()
    try:
        yield bed, victim, rng
    finally:
        await victim.end()
        await nursery.close()
        await bed.close()
        await host.stop()


async def test_loops_end_where_the_declaration_is(world: tuple[Bed, Hasty, random.Random]) -> None:
    bed, victim, rng = world
    await bed.apply("o", declaration(PODS, AWAY, ROOM))
    await victim.live()
    await bed.ready("o")
    await victim.end()
    turns = Turns(bed, rng)
    for _ in range(TURNS):
        await turns.one()
        looks = iter(range(rng.randint(5, 50)))
        await victim.torture(rng.randint(1, 2), lambda looks=looks: next(looks, None) is None)  # type: ignore[misc]
        await victim.end()
    await victim.live()
    await turns.rest()
    at_rest = await victim.until(lambda: not list(wrong(bed)))
    assert at_rest, "\n".join([f"after {turns.deeds}:", *wrong(bed)])
    print(f"{victim.kills} kills, {victim.at_writes} at a write; {turns.deeds}")


# --- what has to be true in the end --------------------------------------------------------------------------------------


def workloads(bed: Bed) -> Iterator[tuple[str, Api]]:
    for api in bed.host.engine.clusters():
        if api is not bed.host.engine.management:
            yield api.name.rpartition("o-")[2], api


def wrong(bed: Bed) -> Iterator[str]:
    """Whatever is not as it has to be once everything has come to rest."""
    management = bed.host.engine.management
    obj = management.find(LOW_LEVEL_ORCHESTRATION, "o", "default")
    if obj is None or not is_ready(obj):
        status = (obj or {}).get("status") or {}
        yield f"not ready: {[status.get(key) for key in ('loops', 'apps', 'clusters', 'conditions')]}"
        return
    open_ = [(d["metadata"]["name"], d["spec"], d.get("status")) for d in management.list(DECISION, "default")
             if (d.get("status") or {}).get("stage") not in ENDS]  # fmt: skip
    if open_:
        yield f"decisions without an end: {open_}"
    yield from _wrong_clusters(bed, obj)
    yield from _wrong_components(bed, obj)
    yield from _wrong_adjustment(management.find(ADJUSTMENT, "o", "default"), obj)


def _wrong_clusters(bed: Bed, obj: Object) -> Iterator[str]:
    declared = {c["name"] for c in obj["spec"]["clusters"]}
    there, told = {name for name, _ in workloads(bed)}, {c["name"] for c in obj["status"]["clusters"]}
    if there != told or told - declared - kept(obj):
        loops = obj["status"].get("loops")
        yield f"clusters {sorted(there)} instead of {sorted(declared)}: {loops}"


def kept(obj: Object) -> set[str]:
    """Clusters on demand of a loop that is gone, on which something is placed: that is said."""
    messages = [str(e.get("message")) for e in obj["status"].get("loops") or ()]
    used = {part.get("cluster") for part in item(obj, "apps", "shop")["components"]}
    return {name for name in used if any(f"cluster {name} stays until nothing is placed on it" in m for m in messages)}


def _running(bed: Bed) -> dict[str, set[tuple[str, str]]]:
    """By component, its pods and where they really are."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for name, api in workloads(bed):
        for pod in api.list(kinds.POD, "shop"):
            labels = labels_of(pod)
            here = str(pod["spec"].get("nodeName")).startswith(f"o-{name}-")  # the nodes of others are virtual
            if "continuo.dev/component" in labels and here and not deleting(pod):
                found[f"shop/{labels['continuo.dev/component']}"].add((name, pod["metadata"]["name"]))
    return found


def _wrong_components(bed: Bed, obj: Object) -> Iterator[str]:
    running = _running(bed)
    declared = {f"shop/{c['name']}": c for c in obj["spec"]["apps"][0]["components"]}
    if set(running) != set(declared):
        yield f"{sorted(running)} run, and {sorted(declared)} are declared"
    scaled = any("scale-component" in policy for policy in obj["spec"].get("policies") or ())
    for path, part in declared.items():
        told, pods = item(obj, "component", path), running[path]
        if {where for where, _ in pods} != {told.get("cluster")}:
            yield f"{path} runs on {sorted(pods)}, and is said to be on {told.get('cluster')}"
        if part.get("cluster-selector", told.get("cluster")) != told.get("cluster"):
            yield f"{path} is on {told.get('cluster')} and pinned elsewhere"
        if path == "shop/web" and len(pods) != 1 if scaled else path == "shop/web" and len(pods) != part["replicas"]:
            yield f"{path} has {len(pods)} pods"


def _wrong_adjustment(found: Object | None, obj: Object) -> Iterator[str]:
    laid: dict[str, Any] = (found or {}).get("spec") or {}
    paths = {f"shop/{c['name']}" for c in obj["spec"]["apps"][0]["components"]}
    named = {entry["component"] for key in ("places", "replicas") for entry in laid.get(key) or ()}
    demanded = {entry["cluster"]["name"] for entry in laid.get("clusters") or ()}
    if named - paths or demanded - kept(obj) or any(laid.get(key) for key in ("homes", "workers", "rollbacks")):
        yield f"the Adjustment names what is not declared: {laid}"
