"""Links whose bandwidth and jitter are measured: what a requirement needs decides where a component goes."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from cli.command import continuo
from continuo.embedded.standins.faults import PREFIX
from continuo.orchestrator.measuring.names import space_of
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from .beds import Bed
from .specs import PEER, app, cluster, component, item

pytestmark = [
    pytest.mark.anyio, pytest.mark.links,
    pytest.mark.embedded_only(reason="links as fast as a test wants; a real one: tests/real/test_link_bandwidth.py"),
]  # fmt: skip

CLUSTERS = [
    cluster("green", packages=["liqo"], cost={"cpu": 1.0}),
    cluster("near", packages=["liqo"], cost={"cpu": 1.0}, labels={"site": "edge"}),
    cluster("far", packages=["liqo"], cost={"cpu": 9.0}, labels={"site": "edge"}),
]
LINKS = [["green", "near"], ["green", "far"]]
SPACE = space_of(("default", "o"))


def spec(asked: Object | None = None, *, placed: bool = True) -> Object:
    edge = {"clusters": {"matchLabels": {"site": "edge"}}}
    media = component("media", resources={"requests": {"cpu": "500m"}}, placement=edge, expose=PEER)
    shop = app("shop", "green", component("db", "green", expose=PEER), *([media] if placed else []))
    if asked is not None:
        shop["link-requirements"] = [{"name": "film", "members": ["db", "media"], **asked}]
    return {"clusters": CLUSTERS, "links": LINKS, "apps": [shop]}


async def link(bed: Bed, other: str, **faults: str | None) -> None:
    """Make the link between green and another cluster as fast as that."""
    green = await bed.workload("green", "o")
    annotations = {PREFIX + name.replace("_", "-"): value for name, value in faults.items()}
    patch = {"metadata": {"annotations": annotations}}
    await green.patch(kinds.FOREIGN_CLUSTER, bed.liqo_id(other, "o"), patch)


def bandwidth(obj: Object | None, other: str) -> int | None:
    return item(obj, "links", "/".join(sorted(("green", other)))).get("bandwidthBps")


def media(obj: Object | None) -> Object:
    return item(obj, "component", "shop/media")


async def test_a_component_goes_over_the_link_that_is_fast_enough_and_a_breach_is_told(
    bed: Bed, tmp_path: Path
) -> None:
    await bed.apply("o", spec(placed=False))
    obj = await bed.ready("o")
    assert bandwidth(obj, "near") is None, "nobody asks"
    green = await bed.workload("green", "o")
    assert not await bed.exists(green, kinds.NAMESPACE, SPACE)
    await link(bed, "near", link_bandwidth="5M")

    await bed.apply("o", spec({"bandwidthBps": 20_000_000}))
    obj = await bed.ready("o")
    assert media(obj)["cluster"] == "far", "near is cheaper, and its link too slow"
    assert (bandwidth(obj, "near"), bandwidth(obj, "far")) == (5_000_000, 1_000_000_000)
    assert item(obj, "links", "far/green")["bandwidthMeasuredAt"]
    file = tmp_path / "kubeconfig"
    file.write_text(bed.kubeconfig, encoding="utf-8")
    told = await asyncio.to_thread(continuo, "why-not", "shop/media", "near", "--kubeconfig", str(file))
    assert told.code == 0, told.err
    then, now = told.out.splitlines()
    slow = r"bandwidth to green is 5 Mbit/s, 0 bit/s of it taken, and shop/film needs 20 Mbit/s \(measured, \d+ s old\)"
    assert re.search(slow, then) and re.search(slow, now)

    await link(bed, "far", link_bandwidth="8M")
    obj = await bed.until("o", lambda obj: "8 Mbit/s" in media(obj).get("message", ""))
    assert (media(obj)["phase"], media(obj)["reason"]) == ("Running", "RequirementMissed")
    assert media(obj)["cluster"] == "far", "what runs is not torn apart for that"
    assert "film" in media(obj)["message"] and "20 Mbit/s" in media(obj)["message"]
    await link(bed, "far", link_bandwidth=None)
    await bed.until("o", lambda obj: bandwidth(obj, "far") == 1_000_000_000 and not media(obj).get("message"))

    await bed.apply("o", spec())
    await bed.until("o", lambda obj: bandwidth(obj, "far") is None and bandwidth(obj, "near") is None)
    for name in ("green", "near", "far"):
        await bed.gone(kinds.NAMESPACE, SPACE, None, await bed.workload(name, "o"))


@pytest.mark.long
async def test_a_jitter_is_known_after_a_while_and_is_promised(bed: Bed) -> None:
    await bed.apply("o", spec(placed=False))
    await bed.ready("o")
    await link(bed, "near", link_latency="10", link_jitter="8")
    await bed.apply("o", spec({"jitterMs": 2}))
    waits = await bed.until("o", lambda obj: media(obj).get("reason") == "Unplaceable")
    assert "jitter to green is not measured from far" in media(waits)["message"]
    await link(bed, "far", link_latency="10", link_jitter="0.1")
    obj = await bed.ready("o")
    assert media(obj)["cluster"] == "far"
    assert 0 < float(item(obj, "links", "far/green")["jitter"].removesuffix("ms")) < 1


@pytest.mark.long
async def test_a_prober_that_somebody_took_away_comes_back_and_all_goes_with_the_orchestration(bed: Bed) -> None:
    wanted = spec({"bandwidthBps": 20_000_000})
    await bed.apply("o", wanted)
    await bed.ready("o")
    green = await bed.workload("green", "o")
    made = await green.get(kinds.DEPLOYMENT, "prober", SPACE)
    await green.delete(kinds.DEPLOYMENT, "prober", SPACE)
    await bed.wait(
        green, kinds.DEPLOYMENT, "prober", SPACE,
        lambda obj: obj is not None and obj["metadata"]["uid"] != made["metadata"]["uid"],
    )  # fmt: skip
    wanted["placement"] = {"measure-bandwidth": "never"}
    await bed.apply("o", wanted)
    await bed.gone(kinds.NAMESPACE, SPACE, None, green)
    await bed.remove("o")
    assert await bed.left(LOW_LEVEL_ORCHESTRATION, ADJUSTMENT) == {}
