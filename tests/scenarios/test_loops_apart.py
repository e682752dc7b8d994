"""Closed loops over clusters that nothing links: pods by a query, and applications that live on one cluster or the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from continuo.cli.outside import Outside
from continuo.cli.whatif import exit_code, foresee
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from .beds import Bed
from .conftest import operating
from .loops import loop, only, place, staged, verdict
from .measured import Work, measured, prometheus_folder
from .specs import app, cluster, component, item

__all__ = ["prometheus_folder"]
pytestmark = pytest.mark.anyio
GREEN, ROSE = cluster("green"), cluster("rose")
SMALL = {"resources": {"requests": {"cpu": "100m"}}}
OFTEN: Object = {"every": 1, "cool-down": 0, "actions-per-hour": 100}


# --- pods ----------------------------------------------------------------------------------------------------------------


@pytest.mark.long
async def test_pods_follow_a_query(idle: Bed, prometheus_folder: Path, tmp_path: Path) -> None:
    work = Work()
    metric = {"source": "Prometheus", "query": "sum(shop_requests_per_second)", "target": 100}
    scaled = {"component": "shop/web", "metric": metric, "max": 5, "step": 8, "down-after": 1}
    spec = {
        "clusters": [GREEN], "apps": [app("shop", "green", component("web", **SMALL))],
        "policies": [{"name": "pods", **OFTEN, "scale-component": scaled}],
    }  # fmt: skip
    async with (
        measured(work, prometheus_folder, tmp_path / "prometheus") as url,
        operating(idle, Outside(prometheus=url)),
    ):
        await idle.apply("o", spec)
        await idle.until("o", runs("1/1"))
        work.requests = 290
        await idle.until("o", runs("3/3"))
        green = await idle.workload("green", "o")
        assert (await green.get(kinds.DEPLOYMENT, "web", "shop"))["spec"]["replicas"] == 3
        more = await only(
            idle, lambda d: d["spec"]["actions"] == [{"op": "scaleComponent", "component": "shop/web", "replicas": 3}]
        )
        assert more["spec"]["reason"] == "query 290 of 100 per pod on 1 pod: 3 are needed"
        work.requests = 10_000
        await idle.until("o", runs("5/5"))
        work.requests = 20
        await idle.until("o", runs("1/1"))
        obj = await idle.until("o", lambda obj: loop(obj, "pods").get("outcome", "").startswith("Verified"))
        assert "query 20.00 of 100 per pod" in loop(obj, "pods")["observation"]
        generation = obj["metadata"]["generation"]
        assert generation == 1, "the declaration is as it was written"


def runs(ready: str) -> Any:
    """Whether so many pods of shop/web are ready."""

    def holds(obj: Object | None) -> bool:
        told = item(obj, "component", "shop/web")
        return (told.get("ready"), told.get("phase")) == (ready, "Running")

    return holds


# --- homes ---------------------------------------------------------------------------------------------------------------


def away(**more: Any) -> Object:
    return {"name": "away", **OFTEN, "failover": {"after": 1, "return-after": 1}, **more}


def declared(*policies: Object) -> Object:
    parts = [component(name, **SMALL) for name in ("web", "db")]
    return {"clusters": [GREEN, ROSE], "apps": [app("shop", "green", *parts)], "policies": list(policies)}


def at(cluster: str) -> Any:
    """Whether the application is at home there, and runs."""

    def holds(obj: Object | None) -> bool:
        places = [place(obj, f"shop/{name}") for name in ("web", "db")]
        return item(obj, "apps", "shop").get("cluster") == cluster and places == [(cluster, "Running")] * 2

    return holds


@pytest.mark.loses
@pytest.mark.long
async def test_an_application_leaves_a_lost_home_as_foreseen_and_returns(bed: Bed) -> None:
    await bed.apply("o", declared(away()))
    obj = await bed.ready("o")
    assert at("green")(obj)
    ((_, foreseen),) = await foresee(bed.api, None, "default", "green")
    assert foreseen["changes"] and exit_code(foreseen) == 2
    assert {move["component"]: move["to"] for move in foreseen["moves"]} == {"shop/db": "rose", "shop/web": "rose"}
    assert [(home["from"], home["to"]) for home in foreseen["homes"]] == [("green", "rose")]
    assert (await bed.api.list(DECISION, "default")).items == [], "nothing was decided by looking"
    await bed.lose("green")
    obj = await bed.until("o", at("rose"))
    assert item(obj, "clusters", "green")["lostSince"]
    rose = await bed.workload("rose", "o")
    assert {d["metadata"]["name"] for d in (await rose.list(kinds.DEPLOYMENT, "shop")).items} == {"web", "db"}
    await bed.regain("green")
    await bed.until("o", at("green"))
    obj = await bed.ready("o")
    assert "lostSince" not in item(obj, "clusters", "green")
    assert not await bed.exists(rose, kinds.NAMESPACE, "shop"), "nothing of it runs twice"
    laid = (await bed.api.get(ADJUSTMENT, "o", "default"))["spec"]
    assert not any(laid.get(key) for key in ("homes", "places"))
    await bed.until("o", lambda obj: loop(obj, "away").get("outcome", "").startswith("Verified"))


@pytest.mark.loses
@pytest.mark.long
async def test_a_loop_is_held_then_asks_and_is_denied_then_approved(bed: Bed) -> None:
    await bed.apply("o", declared(away(hold=True)))
    await bed.ready("o")
    await bed.lose("green")
    obj = await bed.until("o", lambda obj: loop(obj, "away").get("stage") == "Held")
    assert "held; would move" in loop(obj, "away")["message"] and (await bed.api.list(DECISION, "default")).items == []
    await bed.apply("o", declared(away(approval="required")))
    asked = await only(bed, staged("WaitingForApproval"))
    await verdict(bed, asked, "Denied")
    await bed.until("o", lambda obj: "not asked for again" in loop(obj, "away").get("message", ""))
    assert place(await bed.api.get(LOW_LEVEL_ORCHESTRATION, "o", "default"))[0] == "green"
    await bed.regain("green")
    await bed.ready("o")
    await bed.lose("green")
    again = await only(bed, staged("WaitingForApproval"))
    assert again["metadata"]["name"] != asked["metadata"]["name"], "it is another outage"
    await verdict(bed, again, "Approved")
    await bed.until("o", at("rose"))
