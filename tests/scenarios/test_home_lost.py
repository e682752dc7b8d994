"""A lost home: the application gets another one, also from an operator that never saw the lost one, and comes back."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT
from continuo.resources.meta import Object

from .beds import Bed
from .conftest import operating
from .specs import PEER, app, cluster, component, item

pytestmark = [pytest.mark.anyio, pytest.mark.links, pytest.mark.loses]

EASIER = pytest.mark.embedded_only(reason="who has never seen the lost home has it harder, and takes two minutes there")

GREEN, ROSE = (cluster(name, packages=["liqo"]) for name in ("green", "rose"))
SMALL = {"resources": {"requests": {"cpu": "100m"}}, "expose": PEER}
SPEC: Object = {
    "clusters": [GREEN, ROSE],
    "apps": [app("shop", "green", component("web", **SMALL), component("db", "rose", **SMALL))],
    "policies": [{"name": "away", "failover": {"after": 1, "return-after": 1}, "cool-down": 0}],
}  # fmt: skip


def at(home: str, web: str) -> object:
    def test(obj: Object | None) -> bool:
        told = [item(obj, "component", f"shop/{name}") for name in ("web", "db")]
        places = [(one.get("cluster"), one.get("phase")) for one in told]
        return item(obj, "apps", "shop").get("cluster") == home and places == [(web, "Running"), ("rose", "Running")]

    return test


@pytest.mark.parametrize("restarted", [
    pytest.param(False, id="seen before", marks=EASIER), pytest.param(True, id="never seen", marks=pytest.mark.long),
])  # fmt: skip
async def test_a_home_is_lost_and_comes_back(idle: Bed, restarted: bool) -> None:
    async with operating(idle):
        await idle.apply("o", SPEC)
        await idle.ready("o")
        if not restarted:
            await _away_and_back(idle)
            return
    await idle.lose("green")
    async with operating(idle):
        await _away_and_back(idle)


async def _away_and_back(bed: Bed) -> None:
    await bed.lose("green")
    await bed.until("o", at("rose", "rose"))
    rose = await bed.workload("rose", "o")
    await bed.regain("green")
    obj = await bed.until("o", at("green", "green"))
    obj = await bed.ready("o")
    assert (await bed.api.get(ADJUSTMENT, "o", "default"))["spec"].get("homes", []) == []
    assert (await rose.list(kinds.DEPLOYMENT, "shop")).items == [], obj["status"]


@pytest.mark.long
async def test_the_old_home_is_cleared_without_touching_the_new_one(idle: Bed) -> None:
    spec = {**SPEC, "policies": [{"name": "away", "failover": {"after": 1, "return-after": 3600}, "cool-down": 0}]}
    async with operating(idle):
        await idle.apply("o", spec)
        await idle.ready("o")
        await idle.lose("green")
        await idle.until("o", at("rose", "rose"))
        green, rose = await idle.workload("green", "o"), await idle.workload("rose", "o")
        before = await _uids(rose)
        await idle.regain("green")
        await idle.gone(kinds.NAMESPACE, "shop", None, green)
        await idle.ready("o")
        assert await _uids(rose) == before, "it went on running"
        pods = (await rose.list(kinds.POD, "shop")).items
        assert sorted(pod["metadata"]["name"].split("-")[0] for pod in pods) == ["db", "web"], "nothing twice"


async def _uids(api: Any) -> dict[str, str]:
    found = [await api.get(kinds.NAMESPACE, "shop"), *(await api.list(kinds.DEPLOYMENT, "shop")).items]
    return {f"{obj['kind']}/{obj['metadata']['name']}": obj["metadata"]["uid"] for obj in found}
