"""Adopted clusters of which one has no Liqo: no component goes there whose application is at home elsewhere."""

from __future__ import annotations

import pytest

from continuo.cli.whatif import foresee
from continuo.embedded.standins import faults
from continuo.resources import kinds
from continuo.resources.meta import Object

from .beds import Bed
from .specs import PEER, adopted, app, cluster, component, item

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.links,
    pytest.mark.embedded_only(reason="it adopts clusters that it has created, one of them without Liqo"),
]
SMALL: Object = {"resources": {"requests": {"cpu": "500m"}}, "expose": PEER}
PRICES = {"near": 9.0, "far": 2.0, "bare": 1.0}
WHY = "bare has no Liqo, and into an adopted cluster only its owner installs it"


async def adopt(bed: Bed, home: str, *components: Object, policies: tuple[Object, ...] = ()) -> None:
    """Three clusters of somebody else's; of the one without Liqo nothing is said of `packages`."""
    with_liqo = [cluster(name, packages=["liqo"]) for name in ("near", "far")]
    await bed.apply("host", {"clusters": [*with_liqo, cluster("bare")]})
    await bed.ready("host")
    clusters = [{**adopted(name, f"host-{name}-kubeconfig"), "cost": {"cpu": PRICES[name]}} for name in PRICES]
    del clusters[-1]["packages"]
    await bed.apply("o", {"clusters": clusters, "apps": [app("shop", home, *components)], "policies": list(policies)})


def where(obj: Object | None, name: str) -> tuple[str | None, str | None]:
    found = item(obj, "component", f"shop/{name}")
    return found.get("cluster"), found.get("phase")


async def test_a_component_goes_where_a_link_can_be_though_elsewhere_is_cheaper(bed: Bed) -> None:
    await adopt(bed, "near", component("web", placement={}, **SMALL), component("huge", placement={}, resources=HUGE))
    obj = await bed.until("o", lambda obj: where(obj, "web") == ("far", "Running"))
    assert item(obj, "clusters", "bare")["unlinkable"] == WHY.removeprefix("bare ")
    assert "unlinkable" not in item(obj, "clusters", "near")
    obj = await bed.until("o", lambda obj: item(obj, "component", "shop/huge").get("reason") == "Unplaceable")
    said = item(obj, "component", "shop/huge")["message"]
    assert f"bare: it cannot be linked with near, the home of shop: {WHY}" in said


HUGE: Object = {"requests": {"cpu": "64"}}


async def test_an_application_at_home_on_a_cluster_without_liqo_stays_in_one_piece(bed: Bed) -> None:
    await adopt(bed, "bare", component("web", placement={}, **SMALL), component("db", placement={}, **SMALL))
    await bed.until("o", lambda obj: [where(obj, name) for name in ("web", "db")] == [("bare", "Running")] * 2)


async def test_what_leaves_a_lost_cluster_goes_where_its_home_can_be_linked_as_foreseen(bed: Bed) -> None:
    away: Object = {"name": "away", "cool-down": 0, "failover": {"after": 1}}
    await adopt(bed, "near", component("web", "far", **SMALL), policies=(away,))
    await bed.until("o", lambda obj: where(obj, "web") == ("far", "Running"))
    found = next(told for name, told in await foresee(bed.api, None, "default", "far") if name == "o")
    assert [(move["component"], move["to"]) for move in found["moves"]] == [("shop/web", "near")]
    faults.Faults(bed.host.engine).inject(faults.API_OUTAGE, kinds.CLUSTER, "host-far", "default")
    await bed.until("o", lambda obj: where(obj, "web") == ("near", "Running"))
