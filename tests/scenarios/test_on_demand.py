"""Clusters that nobody declared: made, resized and removed by decisions, beside a declaration that stays as it was written.

Their machines are simulated on every engine, so nothing runs there, and nothing but Cluster API is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from continuo.cli.outside import Outside
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Object

from .beds import Bed
from .conftest import operating
from .loops import loop, only, staged
from .measured import Work, measured, prometheus_folder
from .specs import item

__all__ = ["prometheus_folder"]
pytestmark = [pytest.mark.anyio, pytest.mark.creates]


def simulated(name: str, workers: int = 0) -> Object:
    return {"name": name, "provider": "dev", "kubernetes-version": "v1.34.2", "worker-machine-count": workers}


async def decided(bed: Bed, name: str, **action: Any) -> Object:
    """Have an external scheduler decide something; the decision as soon as it is over."""
    spec = {"orchestration": "o", "source": "external/ann", "reason": "a busy evening", "actions": [action]}
    await bed.api.create(DECISION.new(name, "default", spec=spec))
    return await only(bed, lambda made: made["metadata"]["name"] == name and staged("Verified")(made))


async def test_a_cluster_on_demand_comes_grows_and_goes(bed: Bed) -> None:
    await bed.apply("o", {"clusters": [simulated("green")]})
    generation = (await bed.ready("o"))["metadata"]["generation"]

    made = await decided(bed, "more", op="createCluster", cluster="burst-1", template=simulated("burst-1"))
    assert made["status"]["effect"]["burst-1"] == "Ready, 0 workers"
    found = await bed.api.get(kinds.CLUSTER, "o-burst-1", "default")
    assert found["metadata"]["labels"]["continuo.dev/orchestration"] == "o"
    assert item(await bed.ready("o"), "clusters", "burst-1")["phase"] == "Ready"

    made = await decided(bed, "larger", op="scaleCluster", cluster="burst-1", workers=1)
    assert made["status"]["effect"]["burst-1"] == "Ready, 1 workers"
    assert (await bed.api.get(kinds.MACHINE_DEPLOYMENT, "o-burst-1-md-0", "default"))["spec"]["replicas"] == 1

    made = await decided(bed, "enough", op="deleteCluster", cluster="burst-1")
    assert made["status"]["effect"]["burst-1"] == "gone"
    obj = await bed.ready("o")
    assert [entry["name"] for entry in obj["status"]["clusters"]] == ["green"]
    assert obj["metadata"]["generation"] == generation
    assert not await bed.exists(bed.api, kinds.CLUSTER, "o-burst-1", "default")
    machines = (await bed.left(kinds.MACHINE)).get("Machine", [])
    assert machines and not any("burst" in name for name in machines)


async def test_workers_follow_a_query_and_are_as_declared_without_the_policy(
    idle: Bed, prometheus_folder: Path, tmp_path: Path
) -> None:
    metric = {"source": "Prometheus", "query": "sum(shop_requests_per_second)", "target": 100}
    scaled = {"cluster": "green", "metric": metric, "max": 3, "step": 3, "down-after": 1}
    policy = {"name": "workers", "every": 1, "cool-down": 0, "scale-cluster": scaled}
    work = Work()
    async with (
        measured(work, prometheus_folder, tmp_path / "prometheus") as url,
        operating(idle, Outside(prometheus=url)),
    ):
        work.requests = 100
        await idle.apply("o", {"clusters": [simulated("green", 1)], "policies": [policy]})
        await idle.ready("o")
        work.requests = 250
        await idle.until("o", lambda obj: item(obj, "clusters", "green").get("workersReady") == 3)
        obj = await idle.until("o", lambda obj: loop(obj, "workers").get("outcome", "").startswith("Verified"))
        assert loop(obj, "workers")["observation"].startswith("query 83.33 of 100 per worker on 3 workers")
        work.requests = 0
        await idle.until("o", lambda obj: "query 0.00" in loop(obj, "workers").get("observation", ""))
        assert item(await idle.ready("o"), "clusters", "green")["workersReady"] == 3, "nobody knows what runs there"
        await idle.apply("o", {"clusters": [simulated("green", 1)]})
        await idle.until("o", lambda obj: item(obj, "clusters", "green").get("workersReady") == 1)
        left = await only(idle, lambda made: made["spec"]["source"] == "declaration")
        assert left["spec"]["reason"] == "workers has no say any more: what is declared holds"
        assert (await idle.api.get(ADJUSTMENT, "o", "default"))["spec"].get("workers", []) == []
