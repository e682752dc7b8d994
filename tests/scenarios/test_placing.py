"""Components whose place the scheduler chooses."""

from __future__ import annotations

import pytest

from continuo.orchestrator.preview import preview
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from .beds import Bed
from .specs import PEER, app, cluster, component, item

pytestmark = [pytest.mark.anyio, pytest.mark.links]
PURE = pytest.mark.embedded_only(reason="what differs from the scenarios before is decided before any cluster is asked")

GREEN = cluster("green", packages=["liqo"], cost={"cpu": 1.0})
ROSE = cluster("rose", packages=["liqo"], cost={"cpu": 2.0}, labels={"iso27001": "true"})


def asking(cpu: str, **more: object) -> Object:
    return {"resources": {"requests": {"cpu": cpu}}, "placement": {}, "expose": PEER, **more}


async def decisions(bed: Bed) -> list[Object]:
    found = (await bed.api.list(DECISION, "default")).items
    return sorted(found, key=lambda obj: (obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]))


async def test_a_component_goes_where_it_is_cheapest_and_the_decision_says_why(bed: Bed) -> None:
    spec = {"clusters": [GREEN, ROSE], "apps": [app("shop", "rose", component("web", **asking("500m")))]}
    await bed.apply("o", spec)
    obj = await bed.ready("o")
    assert item(obj, "component", "shop/web")["cluster"] == "green"
    (made,) = await decisions(bed)
    assert made["spec"]["source"] == "placement" and made["spec"]["reason"].startswith("shop/web on green")
    assert made["spec"]["explanation"]["shop/web"] and made["spec"]["replay"]
    (place,) = (await bed.api.get(ADJUSTMENT, "o", "default"))["spec"]["places"]
    assert (place["component"], place["cluster"], place["decision"]) == ("shop/web", "green", made["metadata"]["name"])


@PURE
async def test_what_is_asked_of_clusters_rules_them_out(bed: Bed) -> None:
    bounds = {"clusters": {"matchLabels": {"iso27001": "true"}}}
    web = component("web", **asking("500m", placement=bounds))
    await bed.apply("o", {"clusters": [GREEN, ROSE], "apps": [app("shop", "green", web)]})
    obj = await bed.ready("o")
    assert item(obj, "component", "shop/web")["cluster"] == "rose"


async def test_what_fits_nowhere_says_why_for_each_cluster_and_comes_when_there_is_room(bed: Bed) -> None:
    big = component("web", **asking("64"))
    await bed.apply("o", {"clusters": [GREEN, ROSE], "apps": [app("shop", "green", big)]})
    obj = await bed.until("o", lambda obj: item(obj, "component", "shop/web").get("reason") == "Unplaceable")
    message = item(obj, "component", "shop/web")["message"]
    assert "green: cpu 64 of" in message and "rose: cpu 64 of" in message
    assert "cluster" not in item(obj, "component", "shop/web")
    await bed.apply("o", {"clusters": [GREEN, ROSE], "apps": [app("shop", "green", component("web", **asking("1")))]})
    obj = await bed.ready("o")
    assert item(obj, "component", "shop/web")["cluster"] == "green"
    assert (await (await bed.workload("green", "o")).get(kinds.DEPLOYMENT, "web", "shop"))["spec"]["replicas"] == 1


@PURE
async def test_a_decision_whose_maker_was_killed_is_carried_out_if_it_still_holds(bed: Bed) -> None:
    action = {"op": "placeComponent", "component": "shop/web", "cluster": "rose"}
    fields = {"orchestration": "o", "source": "placement", "reason": "before it died", "actions": [action]}
    for name, based_on in (("holds", "generation/1,adjustment/none"), ("stale", "generation/1,adjustment/1")):
        await bed.api.create(DECISION.new(name, "default", spec={**fields, "basedOn": based_on}))
    spec = {"clusters": [GREEN, ROSE], "apps": [app("shop", "rose", component("web", **asking("500m")))]}
    await bed.apply("o", spec)
    obj = await bed.ready("o")
    assert item(obj, "component", "shop/web")["cluster"] == "rose", "green would be cheaper"
    stages = {d["metadata"]["name"]: d["status"]["stage"] for d in await decisions(bed)}
    assert stages["holds"] in ("Applied", "Verified") and len(stages) == 2
    assert stages["stale"] in ("Applied", "Verified", "Superseded"), "it says the same, so it is in effect"


@PURE
async def test_a_decision_that_no_longer_holds_is_superseded(bed: Bed) -> None:
    action = {"op": "placeComponent", "component": "shop/web", "cluster": "rose"}
    fields = {"orchestration": "o", "source": "placement", "reason": "before it died", "actions": [action]}
    await bed.api.create(DECISION.new("stale", "default", spec={**fields, "basedOn": "generation/1,adjustment/1"}))
    spec = {"clusters": [GREEN, ROSE], "apps": [app("shop", "rose", component("web", **asking("500m")))]}
    await bed.apply("o", spec)
    obj = await bed.ready("o")
    assert item(obj, "component", "shop/web")["cluster"] == "green"
    stages = {d["metadata"]["name"]: d["status"]["stage"] for d in await decisions(bed)}
    assert stages.pop("stale") == "Superseded" and len(stages) == 1


@PURE
async def test_a_plan_places_what_leaves_the_choice(bed: Bed) -> None:
    bare = {"clusters": [GREEN, ROSE], "apps": []}
    await bed.apply("o", bare)
    await bed.ready("o")
    web = component("web", **asking("500m"))
    wanted = LOW_LEVEL_ORCHESTRATION.new("o", "default", spec={**bare, "apps": [app("shop", "rose", web)]})
    plan = await preview(bed.api, wanted, manager="test")
    assert [step.detail for step in plan.steps if step.target.kind == "component"] == ["on green"]
    assert await decisions(bed) == [] and (await bed.api.list(ADJUSTMENT, "default")).items == []
