"""The operator is killed with SIGKILL at random moments, again and again, while everything that it does is going on.

The engine runs here; the operator is a process of its own that is started anew after each kill. Each declaration converges,
no object is created twice, and after the deletion none is left behind. The seed is printed; CONTINUO_SEED repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continuo.cli.host import Host
from continuo.embedded.port import Api, StoredChange
from continuo.embedded.standins.settings import Settings
from continuo.orchestrator.observe import MANAGEMENT_KINDS, OWNED_KINDS
from continuo.resources import kinds
from continuo.resources.meta import Object, key_of, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from scenarios.conftest import Bed

pytestmark = pytest.mark.anyio

KILLS = int(os.environ.get("CONTINUO_KILLS", "50"))


def cluster(name: str, **more: object) -> Object:
    fields = {key.replace("_", "-"): value for key, value in more.items()}
    return {"name": name, "kubernetes-version": "v1.34.2", "packages": ["liqo"], "worker-machine-count": 1, **fields}


def component(name: str, selector: str) -> Object:
    expose = [{"containerPort": 80, "clusterPort": 80}]
    return {"name": name, "image": f"registry.example.org/{name}:1", "cluster-selector": selector, "expose": expose}


def app(home: str, **places: str) -> Object:
    return {"name": "shop", "owner": "ann", "cluster": home, "components": [component(n, c) for n, c in places.items()]}


GREEN, ROSE, LINK = cluster("green"), cluster("rose"), ["green", "rose"]
STORY: list[Object] = [
    {"clusters": [GREEN]},
    {"clusters": [GREEN, ROSE], "apps": [app("green", web="green")]},
    {"clusters": [GREEN, ROSE], "links": [LINK], "apps": [app("green", web="green", db="rose")]},
    {"clusters": [{**GREEN, "worker-machine-count": 3}, ROSE], "links": [LINK], "apps": [app("green", web="rose", db="rose")]},
    {"clusters": [GREEN, {**ROSE, "control-plane-count": 3}], "links": [LINK], "apps": [app("green", web="green")]},
    {"clusters": [GREEN, ROSE], "apps": [app("green", web="green")]},
    {"clusters": [GREEN]},
]


class Witness:
    """Notes every object of ours that is created, to find one that is made twice without having been asked to go."""

    def __init__(self, host: Host) -> None:
        self.made: Counter[tuple[str, str, str, str]] = Counter()
        self._kinds = {kind.kind for kind in (*MANAGEMENT_KINDS, *OWNED_KINDS)}
        host.engine.on_cluster(self._cluster)

    def _cluster(self, event: str, api: Api) -> None:
        if event == "added":
            api.listen(None, lambda change: self._changed(api.name, change))

    def _changed(self, cluster_name: str, change: StoredChange) -> None:
        if change.type != "ADDED" or change.kind.kind not in self._kinds:
            return
        if labels_of(change.object).get("app.kubernetes.io/managed-by") == "continuo":
            namespace, name = key_of(change.object)
            self.made[(cluster_name, change.kind.kind, namespace, name)] += 1

    def forget(self) -> None:
        self.made.clear()

    def twice(self) -> list[tuple[str, str, str, str]]:
        return [key for key, count in self.made.items() if count > 1]


class Victim:
    """An operator process that is killed and started again until told to live."""

    def __init__(self, kubeconfig: Path, rng: random.Random) -> None:
        self._kubeconfig, self._rng = kubeconfig, rng
        self.kills = 0
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "continuo.cli.main", "operator", "--kubeconfig", str(self._kubeconfig),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()

    def torture(self, kills: int) -> asyncio.Task[None]:
        """Kill so many times, each after a random while, then let one live."""

        async def run() -> None:
            for _ in range(kills):
                await self._start()
                await asyncio.sleep(self._rng.uniform(0.3, 1.5))
                await self._kill()
                self.kills += 1
            await self._start()

        self._task = asyncio.create_task(run())
        return self._task

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._kill()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Bed, Witness, Victim, random.Random]]:
    seed = int(os.environ.get("CONTINUO_SEED", "20261122"))
    print(f"seed {seed}, {KILLS} kills")
    rng = random.Random(seed)
    host = Host(None, standins=Settings(speed=4.0), seed=seed)
    await host.start()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(host.engine.kubeconfig("management"), encoding="utf-8")
    bed, witness, victim = Bed(host), Witness(host), Victim(kubeconfig, rng)
    await bed.credentials()
    try:
        yield bed, witness, victim, rng
    finally:
        await victim.end()
        await bed.close()
        await host.stop()


async def test_killed_at_any_moment_it_converges(world: tuple[Bed, Witness, Victim, random.Random]) -> None:
    bed, witness, victim, _ = world
    share, rest = divmod(KILLS, len(STORY) + 1)
    for number, spec in enumerate(STORY):
        witness.forget()
        torture = victim.torture(share + (number < rest))
        await bed.apply("o", spec)
        await torture
        obj = await bed.ready("o")
        assert witness.twice() == [], f"made twice in act {number}"
        _check(bed, spec, obj)
        await victim.end()
    torture = victim.torture(share)
    await bed.api.delete(LOW_LEVEL_ORCHESTRATION, "o", "default")
    await torture
    await bed.gone(LOW_LEVEL_ORCHESTRATION, "o", "default")
    assert victim.kills >= KILLS
    _check_nothing_left(bed)


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
    for kind in (*MANAGEMENT_KINDS, kinds.MACHINE, kinds.MACHINE_SET, kinds.HELM_RELEASE_PROXY, kinds.OPENSTACK_MACHINE):
        assert management.list(kind) == [], kind.kind
    left = {secret["metadata"]["name"] for secret in management.list(kinds.SECRET, "default")}
    assert left == {"openstack-cloud-config"}
