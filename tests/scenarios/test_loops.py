"""The frame in which closed loops run: what they decide is written down, held, approved, carried out and verified."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.events.outbox import events_of
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Object, condition
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from .beds import Bed
from .loops import loop, only, place, staged, verdict
from .specs import PEER, app, cluster, component, item

pytestmark = [pytest.mark.anyio, pytest.mark.links]
APART = pytest.mark.embedded_only(reason="test_loops_apart.py shows the same without links, which is faster")

GREEN, ROSE = (cluster(name, packages=["liqo"]) for name in ("green", "rose"))
SMALL = {"resources": {"requests": {"cpu": "100m"}}, "expose": PEER}


def failover(**more: Any) -> Object:
    return {"name": "away", "failover": {"after": 1, "return-after": 1}, "cool-down": 0, **more}


async def spec_of(bed: Bed, **policy: Any) -> Object:
    web = component("web", "rose", **SMALL)
    spec = {
        "clusters": [GREEN, ROSE], "apps": [app("shop", "green", web)], "policies": [failover(**policy)],
    }  # fmt: skip
    await bed.apply("o", spec)
    await bed.ready("o")
    return spec


@pytest.mark.loses
@pytest.mark.long
async def test_a_component_leaves_a_cluster_that_does_not_answer_and_comes_home(bed: Bed) -> None:
    await spec_of(bed)
    await bed.lose("rose")
    obj = await bed.until("o", lambda obj: place(obj) == ("green", "Running"))
    assert "away from its home rose" in item(obj, "component", "shop/web")["message"]
    assert item(obj, "clusters", "rose")["lostSince"]
    left = await only(bed, lambda d: d["spec"]["source"] == "policy/away")
    assert left["spec"]["actions"][0]["home"] == "rose"
    await bed.regain("rose")
    obj = await bed.until("o", lambda obj: place(obj) == ("rose", "Running"))
    await bed.until("o", lambda obj: loop(obj, "away").get("outcome", "").startswith("Verified"))
    assert (await bed.api.get(ADJUSTMENT, "o", "default"))["spec"].get("places", []) == []
    assert "lostSince" not in item(await bed.ready("o"), "clusters", "rose")


async def test_components_leave_a_cordoned_cluster_and_come_home(bed: Bed) -> None:
    await spec_of(bed)
    rose = await bed.workload("rose", "o")
    await bed.cordon("rose")
    obj = await bed.until("o", lambda obj: place(obj) == ("green", "Running"))
    assert "away from its home rose" in item(obj, "component", "shop/web")["message"]
    left = await only(bed, lambda d: d["spec"]["source"] == "policy/away")
    assert "rose" in left["spec"]["reason"] and "cordoned" in left["spec"]["reason"]
    await bed.ready("o")
    assert (await rose.list(kinds.POD, "shop")).items == [], "nothing of it runs twice"
    await bed.cordon("rose", closed=False)
    await bed.until("o", lambda obj: place(obj) == ("rose", "Running"))
    await bed.ready("o")
    (pod,) = (await rose.list(kinds.POD, "shop")).items
    assert (pod.get("status") or {}).get("phase") == "Running"


@APART
async def test_a_loop_that_is_held_says_what_it_would_do(bed: Bed) -> None:
    await spec_of(bed, hold=True)
    await bed.lose("rose")
    obj = await bed.until("o", lambda obj: loop(obj, "away").get("stage") == "Held")
    assert "held; would move shop/web from rose to" in loop(obj, "away")["message"]
    assert (await bed.api.list(DECISION, "default")).items == []
    assert place(obj)[0] == "rose"


@APART
async def test_somebody_has_to_approve(bed: Bed) -> None:
    spec = await spec_of(bed, approval="required")
    await bed.lose("rose")
    obj = await bed.until("o", lambda obj: loop(obj, "away").get("stage") == "WaitingForApproval")
    asked = await only(bed, staged("WaitingForApproval"))
    assert asked["metadata"]["name"] in loop(obj, "away")["message"] and place(obj)[0] == "rose"
    name = asked["metadata"]["name"]
    await verdict(bed, asked, "Denied")
    obj = await bed.until("o", lambda obj: "not asked for again" in loop(obj, "away").get("message", ""))
    assert (await bed.api.get(DECISION, name, "default"))["status"]["stage"] == "Refused"
    await bed.regain("rose")
    await bed.ready("o")
    await bed.lose("rose")
    again = await only(bed, staged("WaitingForApproval"))
    assert again["metadata"]["name"] != name, "it is another outage"
    await verdict(bed, again, "Approved")
    await bed.until("o", lambda obj: place(obj)[0] != "rose" and place(obj)[1] == "Running")
    assert spec["policies"]


async def test_paused_nothing_is_changed(bed: Bed) -> None:
    spec = {"clusters": [GREEN], "apps": [app("shop", "green", component("web", **SMALL))]}
    await bed.apply("o", spec)
    await bed.ready("o")
    await bed.apply("o", {**spec, "paused": True})
    obj = await bed.until("o", lambda obj: condition(obj, "Paused") is not None)
    assert condition(obj, "Paused")["status"] == "True"  # type: ignore[index]
    green = await bed.workload("green", "o")
    await green.delete(kinds.DEPLOYMENT, "web", "shop")
    obj = await bed.until(
        "o", lambda obj: "component shop/web" in (condition(obj, "Reconciling") or {}).get("message", "")
    )
    assert not await bed.exists(green, kinds.DEPLOYMENT, "web", "shop")
    await bed.apply("o", {**spec, "paused": False})
    obj = await bed.until(
        "o", lambda obj: (condition(obj, "Paused") or {}).get("status") == "False" and place(obj)[1] == "Running"
    )
    assert await bed.exists(green, kinds.DEPLOYMENT, "web", "shop")


def decision(name: str, **spec: Any) -> Object:
    actions = [{"op": "migrateComponent", "component": "shop/web", "cluster": "rose", "other": "green"}]
    fields = {"orchestration": "o", "source": "external/ann", "reason": "it is nearer", "actions": actions, **spec}
    return DECISION.new(name, "default", spec=fields)


async def test_decisions_from_outside_are_judged_again_and_carried_out(bed: Bed) -> None:
    web = component("web", **SMALL, placement={})
    await bed.apply("o", {"clusters": [GREEN, ROSE], "apps": [app("shop", "green", web)]})
    home = place(await bed.ready("o"))[0]
    other = "rose" if home == "green" else "green"
    move = {"op": "migrateComponent", "component": "shop/web", "cluster": other, "other": home}
    await bed.api.create(decision("d1", actions=[move]))
    await bed.until("o", lambda obj: place(obj) == (other, "Running"))
    done = await only(bed, lambda d: d["metadata"]["name"] == "d1" and staged("Verified")(d))
    assert done["status"]["effect"]["shop/web"] == f"1/1 ready on {other}"
    await bed.api.create(decision("d2", actions=[{**move, "cluster": "violet"}]))
    refused = await only(bed, lambda d: d["metadata"]["name"] == "d2" and staged("Refused")(d))
    assert "violet" in refused["status"]["message"]
    back = {**move, "cluster": home, "other": other}
    await bed.api.create(decision("d3", actions=[back], expires="2020-01-01T00:00:00Z"))
    await only(bed, lambda d: d["metadata"]["name"] == "d3" and staged("Expired")(d))


async def test_deleting_the_adjustment_is_the_way_back(bed: Bed) -> None:
    web = component("web", "green", **SMALL)
    await bed.apply("o", {"clusters": [GREEN, ROSE], "apps": [app("shop", "green", web)]})
    obj = await bed.ready("o")
    places = [
        {"component": "shop/web", "cluster": "rose", "home": "green", "decision": "d", "since": "2026-01-01T00:00:00Z"}
    ]
    await bed.api.apply(ADJUSTMENT.new("o", "default", spec={"places": places}), manager="test")
    await bed.until("o", lambda obj: place(obj) == ("rose", "Running"))
    await bed.api.delete(ADJUSTMENT, "o", "default")
    await bed.until("o", lambda obj: place(obj) == ("green", "Running"))
    assert (await bed.api.get(LOW_LEVEL_ORCHESTRATION, "o", "default"))["metadata"]["generation"] == obj["metadata"][
        "generation"
    ]


@pytest.mark.loses
@pytest.mark.long
async def test_who_has_to_stay_on_a_lost_cluster_keeps_nobody_there(bed: Bed) -> None:
    """Two components of an application on one cluster: one may leave it, to a cluster that is not the home; one may not."""
    blue = cluster("blue", packages=["liqo"], tier="edge")
    rose = cluster("rose", packages=["liqo"], tier="edge", location={"country": "IT"})
    web = component("web", "rose", **SMALL, placement_hint="EDGE")
    cache = component("cache", **SMALL, placement={"locations": [{"country": "IT"}]})
    await bed.apply(
        "o", {"clusters": [GREEN, blue, rose], "apps": [app("shop", "green", web, cache)], "policies": [failover()]}
    )
    await bed.ready("o")
    await bed.lose("rose")
    obj = await bed.until(
        "o", lambda obj: (p := item(obj, "component", "shop/web")).get("cluster") == "blue" and p["ready"] == "1/1"
    )
    assert item(obj, "component", "shop/cache")["cluster"] == "rose"
    assert moves_told(obj) == ["rose -> blue"]
    await bed.regain("rose")
    await bed.until("o", lambda obj: place(obj) == ("rose", "Running"))
    assert moves_told(await bed.ready("o"))[-1] == "blue -> rose"


def moves_told(obj: Object) -> list[str]:
    """What was said when moves of shop/web began, as far as it is kept."""
    return [
        event.data.get("message", "")
        for event in events_of(obj)
        if event.subject == "component/shop/web" and event.type.endswith("move.started.v1")
    ]
