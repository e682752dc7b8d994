"""A lost home: the application gets another one, also from an operator that never saw the lost one, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from continuo.embedded.standins import faults
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT
from continuo.resources.meta import Object

from .beds import Bed
from .conftest import SETTINGS
from .specs import PEER, app, cluster, component, item

pytestmark = [pytest.mark.anyio, pytest.mark.links]

GREEN, ROSE = (cluster(name, packages=["liqo"]) for name in ("green", "rose"))
SMALL = {"resources": {"requests": {"cpu": "100m"}}, "expose": PEER}
SPEC: Object = {
    "clusters": [GREEN, ROSE],
    "apps": [app("shop", "green", component("web", **SMALL), component("db", "rose", **SMALL))],
    "policies": [{"name": "away", "failover": {"after": 1, "return-after": 1}, "cool-down": 0}],
}  # fmt: skip


@asynccontextmanager
async def operating(bed: Bed) -> AsyncIterator[None]:
    """An operator, from nothing to nothing."""
    operator = bed.host.operator(SETTINGS)
    task = asyncio.create_task(operator.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await operator.management.close()


def at(home: str, web: str) -> object:
    def test(obj: Object | None) -> bool:
        told = [item(obj, "component", f"shop/{name}") for name in ("web", "db")]
        places = [(one.get("cluster"), one.get("phase")) for one in told]
        return item(obj, "apps", "shop").get("cluster") == home and places == [(web, "Running"), ("rose", "Running")]

    return test


@pytest.mark.embedded_only(reason="faults are injected into stand-ins")
@pytest.mark.parametrize("restarted", [False, True], ids=["seen before", "never seen"])
async def test_a_home_is_lost_and_comes_back(idle: Bed, restarted: bool) -> None:
    inject = faults.Faults(idle.host.engine)
    async with operating(idle):
        await idle.apply("o", SPEC)
        await idle.ready("o")
        if not restarted:
            await _away_and_back(idle, inject)
            return
    inject.inject(faults.API_OUTAGE, kinds.CLUSTER, "o-green", "default")
    async with operating(idle):
        await _away_and_back(idle, inject)


async def _away_and_back(bed: Bed, inject: faults.Faults) -> None:
    inject.inject(faults.API_OUTAGE, kinds.CLUSTER, "o-green", "default")
    await bed.until("o", at("rose", "rose"))
    rose = await bed.workload("rose", "o")
    inject.heal(faults.API_OUTAGE, kinds.CLUSTER, "o-green", "default")
    obj = await bed.until("o", at("green", "green"))
    obj = await bed.ready("o")
    assert (await bed.api.get(ADJUSTMENT, "o", "default"))["spec"].get("homes", []) == []
    assert (await rose.list(kinds.DEPLOYMENT, "shop")).items == [], obj["status"]


@pytest.mark.embedded_only(reason="faults are injected into stand-ins")
async def test_the_old_home_is_cleared_without_touching_the_new_one(idle: Bed) -> None:
    inject = faults.Faults(idle.host.engine)
    spec = {**SPEC, "policies": [{"name": "away", "failover": {"after": 1, "return-after": 3600}, "cool-down": 0}]}
    async with operating(idle):
        await idle.apply("o", spec)
        await idle.ready("o")
        inject.inject(faults.API_OUTAGE, kinds.CLUSTER, "o-green", "default")
        await idle.until("o", at("rose", "rose"))
        green, rose = await idle.workload("green", "o"), await idle.workload("rose", "o")
        before = await _uids(rose)
        inject.heal(faults.API_OUTAGE, kinds.CLUSTER, "o-green", "default")
        await idle.gone(kinds.NAMESPACE, "shop", None, green)
        await idle.ready("o")
        assert await _uids(rose) == before, "it went on running"
        pods = (await rose.list(kinds.POD, "shop")).items
        assert sorted(pod["metadata"]["name"].split("-")[0] for pod in pods) == ["db", "web"], "nothing twice"


async def _uids(api: Any) -> dict[str, str]:
    found = [await api.get(kinds.NAMESPACE, "shop"), *(await api.list(kinds.DEPLOYMENT, "shop")).items]
    return {f"{obj['kind']}/{obj['metadata']['name']}": obj["metadata"]["uid"] for obj in found}
