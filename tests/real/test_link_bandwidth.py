"""What a real link carries, measured by the probers' pods at both of its ends, through Liqo's tunnel.

The kernel lets only so much into one of the clusters: what is measured has to be that, and not how busy this machine is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.command import continuo
from continuo.orchestrator.measuring.names import space_of
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.probing import MEASURED, Told, read_told
from continuo.testbed import bed as testbed
from scenarios.specs import item

from . import prober_image
from .liqo_bed import CLUSTERS, LiqoBed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean")]

NAME = "measured"
SPACE = space_of(("default", NAME))
RATE = 5_000_000
"""Bits in a second: far below what half a CPU sends through WireGuard in user space."""
LITTLE, MUCH = {"bandwidthBps": RATE // 10}, {"bandwidthBps": 4 * RATE}


@pytest.fixture
async def bed(liqo: LiqoBed, tmp_path: Path) -> AsyncIterator[LiqoBed]:
    """Nodes that have the probers' image, and a narrow way into `b`."""
    if liqo.real.tools.find("tc") is None:
        pytest.skip("there is no tc here, so no network can be shaped")
    archive = await asyncio.to_thread(prober_image.write, tmp_path)
    await asyncio.gather(*(prober_image.load(archive, liqo.real.nodes[name], liqo.real.tools) for name in CLUSTERS))
    archive.unlink()
    async with liqo.shaped("b", RATE):
        yield liqo


def link(obj: Object | None) -> Object:
    return item(obj, "links", "a/b")


def missed(obj: Object | None) -> list[str]:
    """What is said of the components that run over too slow a link."""
    found = [item(obj, "component", f"demo/{name}") for name in ("sleep", "httpbin")]
    return [entry["message"] for entry in found if entry.get("reason") == "RequirementMissed"]


async def told(bed: LiqoBed, cluster: str) -> Told:
    api = await bed.workload(cluster, "")
    said = read_told(await api.get(kinds.CONFIG_MAP, MEASURED, SPACE))
    assert said is not None
    return said


async def test_a_real_link_is_measured_where_somebody_asks_and_what_it_does_not_give_is_told(
    bed: LiqoBed, tmp_path: Path
) -> None:
    before = [await bed.inventory(cluster) for cluster in CLUSTERS]
    await bed.want(NAME, sleep="a", httpbin="b")
    assert "bandwidthBps" not in link(await bed.ready(NAME)), "nobody asks"

    await bed.want(NAME, asked=LITTLE, sleep="a", httpbin="b")
    obj = await bed.until(NAME, lambda obj: link(obj).get("bandwidthBps"))
    assert 0 < link(obj)["bandwidthBps"] < 1.3 * RATE, "the worse direction; a full bucket lets a little more in"
    assert link(obj)["bandwidthMeasuredAt"] and not missed(obj)
    here, there = [await told(bed, cluster) for cluster in CLUSTERS]
    assert there.links["a"].bps == link(obj)["bandwidthBps"] < here.links["b"].bps, "only the way into b is narrow"

    await bed.want(NAME, asked=MUCH, sleep="a", httpbin="b")
    obj = await bed.until(NAME, lambda obj: len(missed(obj)) == 2)
    assert all("20 Mbit/s" in message and "was measured" in message for message in missed(obj))
    file = tmp_path / "kubeconfig"
    file.write_text(bed.real.kubeconfig(testbed.MANAGEMENT), encoding="utf-8")
    for command in (("status", NAME), ("top", "links", "--once")):
        said = await asyncio.to_thread(continuo, *command, "--kubeconfig", str(file))
        assert said.code == 0 and "Mbit/s" in said.out, said.err

    await bed.want(NAME, sleep="a", httpbin="b")
    for cluster in CLUSTERS:
        await bed.gone(kinds.NAMESPACE, SPACE, None, await bed.workload(cluster, ""))
    await bed.until(NAME, lambda obj: "bandwidthBps" not in link(obj) and not missed(obj))
    await bed.remove(NAME)
    assert [await bed.inventory(cluster) for cluster in CLUSTERS] == before
