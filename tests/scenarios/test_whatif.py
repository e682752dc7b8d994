"""What is foreseen of a loss is what happens, and changes nothing; and who depends on what."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from continuo.cli.failures import BadInput
from continuo.cli.whatif import exit_code, foresee
from continuo.embedded.standins import faults
from continuo.orchestrator.preview import picture
from continuo.orchestrator.settings import Settings
from continuo.orchestrator.whatif import if_lost
from continuo.resources import kinds
from continuo.resources.loop import DECISION
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from .beds import Bed
from .specs import PEER, app, cluster, component, item

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.links,
    pytest.mark.embedded_only(reason="it takes three linked clusters of one size"),
]
CLUSTERS = [
    cluster("green", packages=["liqo"], cost={"cpu": 1.0}),
    cluster("rose", packages=["liqo"], cost={"cpu": 2.0}),
    cluster("blue", packages=["liqo"], cost={"cpu": 3.0}),
]


def declaration(*policies: Object) -> Object:
    small = {"resources": {"requests": {"cpu": "500m"}}, "expose": PEER}
    components = [
        component("web", placement={}, **small), component("cache", placement={"beside": ["web"]}, **small),
        component("db", "rose", **small), component("huge", placement={}, resources={"requests": {"cpu": "3"}}),
    ]  # fmt: skip
    return {"clusters": CLUSTERS, "apps": [app("shop", "rose", *components)], "policies": list(policies)}


def away(**more: Any) -> Object:
    return {"name": "away", "cool-down": 0, "failover": {"after": 1, "return-home": False}, **more}


def placed(obj: Object) -> dict[str, str]:
    names = ("web", "cache", "db", "huge")
    return {f"shop/{name}": item(obj, "component", f"shop/{name}").get("cluster", "") for name in names}


async def test_what_is_foreseen_is_what_happens(bed: Bed) -> None:
    await bed.apply("o", declaration(away()))
    before = placed(await bed.ready("o"))
    lost = before["shop/web"]
    ((name, found),) = await foresee(bed.api, None, "default", lost)
    made = [each["metadata"]["name"] for each in (await bed.api.list(DECISION, "default")).items]
    assert name == "o" and found["changes"] and exit_code(found) == 2
    assert placed(await bed.ready("o")) == before, "nothing was changed"
    assert [each["metadata"]["name"] for each in (await bed.api.list(DECISION, "default")).items] == made
    foreseen = before | {move["component"]: move["to"] for move in found["moves"]}
    assert foreseen["shop/web"] == foreseen["shop/cache"] != lost
    assert found["decisions"][0]["after"] == 1 and found["decisions"][0]["source"] == "policy/away"
    assert found["perHour"]["after"]["cost"] != found["perHour"]["before"]["cost"]
    inject = faults.Faults(bed.host.engine)
    inject.inject(faults.API_OUTAGE, kinds.CLUSTER, f"o-{lost}", "default")
    obj = await bed.until("o", lambda obj: placed(obj) == foreseen)
    assert obj is not None
    stays = {entry["component"] for entry in found["stays"]}
    assert stays == {path for path, where in foreseen.items() if where == lost}


async def test_without_a_policy_nothing_moves_and_a_file_may_say_otherwise(bed: Bed) -> None:
    await bed.apply("o", declaration())
    before = placed(await bed.ready("o"))
    lost = before["shop/web"]
    ((_, found),) = await foresee(bed.api, None, "default", lost)
    assert not found["changes"] and exit_code(found) == 1
    reasons = {entry["component"]: entry["reason"] for entry in found["stays"]}
    assert reasons["shop/web"].startswith("no failover policy moves shop/web; there would be room on")
    ((_, found),) = await foresee(bed.api, file(declaration(away(hold=True))), "default", lost)
    assert not found["changes"] and any(note.startswith("policy away: held; would") for note in found["notes"])
    ((_, found),) = await foresee(bed.api, file({**declaration(away()), "paused": True}), "default", lost)
    assert not found["changes"] and "is paused" in found["notes"][0]
    ((_, found),) = await foresee(bed.api, file(declaration(away(approval="required"))), "default", lost)
    assert found["changes"] and all(decision["approval"] for decision in found["decisions"])
    await _home_moves(bed, before)
    await _the_same_again(bed)
    with pytest.raises(BadInput, match="has a cluster mars; there are blue, green, rose"):
        await foresee(bed.api, None, "default", "mars")


def file(spec: Object) -> list[Object]:
    return [
        {
            "apiVersion": "charity-project.eu/v1",
            "kind": "LowLevelOrchestration",
            "metadata": {"name": "o"},
            "spec": spec,
        }
    ]


async def _home_moves(bed: Bed, before: dict[str, str]) -> None:
    """Of a lost home, and of what then fits nowhere: for that a cluster would be created."""
    template = {**cluster("burst", packages=["liqo"], worker_machine_count=2), "tier": "cloud"}
    more = {"name": "more", "cool-down": 0, "provision-cluster": {"template": template, "capacity": {"cpu": "8"}}}
    ((_, found),) = await foresee(bed.api, file(declaration(away(), more)), "default", "rose")
    (home,) = found["homes"]
    assert (home["application"], home["from"]) == ("shop", "rose") and home["to"] != "rose"
    stays = {entry["component"] for entry in found["stays"]}
    assert {move["component"] for move in found["moves"]} == {
        path for path, at in before.items() if at == "rose"
    } - stays
    assert found["links"]["broken"] and all("rose" in pair for pair in found["links"]["broken"])


async def _the_same_again(bed: Bed) -> None:
    obj = await bed.api.get(LOW_LEVEL_ORCHESTRATION, "o", "default")
    world, now = await picture(bed.api, obj), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert if_lost(obj, world, "green", Settings(), now) == if_lost(obj, world, "green", Settings(), now)
