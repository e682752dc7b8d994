"""A video stream over one cluster and over two: every picture arrives, in its order, from where the declaration says.

How long pictures take is measured by `python -m benchmarks stream`; no time is asserted here.
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from continuo.resources.errors import ApiError
from continuo.resources.meta import Object
from continuo.testbed.waiting import until
from scenarios.beds import PATIENCE

from .liqo_bed import PODS, LiqoBed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean")]

EXAMPLE = Path(__file__).parents[2] / "examples" / "stream.yaml"
NAME, HOME = "stream", "streaming"
ENOUGH = 100
"""Pictures to look at, each time."""
RATE = "10"
"""A second: the server keeps 64 for a viewer that a busy machine holds up, and then drops some, as it should."""


@pytest.fixture
def bed(liqo: LiqoBed) -> LiqoBed:
    return liqo


def streaming(**places: str) -> Object:
    """The example file's declaration, with components where they are wanted."""
    spec: Object = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["spec"]
    for component in spec["apps"][0]["components"]:
        if component["name"] in places:
            component["cluster-selector"] = places[component["name"]]
        if component["name"] == "source":
            component["args"] = ["-rate", RATE]
    return spec


async def viewed(bed: LiqoBed, path: str = "") -> Any:
    """What the viewer measured, asked through its Service and the API server of its home."""
    api = await bed.workload("a", "")
    return json.loads(await api.raw(f"/api/v1/namespaces/{HOME}/services/capture:8080/proxy/{path}"))


async def served_by_these(bed: LiqoBed) -> Object:
    """The viewer's summary, once its pictures come from the source and the server that are there now."""
    seen: list[Object] = []

    async def settled() -> str | None:
        pods = await bed.pods("a", HOME)
        names = {part: pods[part]["metadata"]["name"] for part in ("source", "stream") if part in pods}
        try:
            seen.append(await viewed(bed))
        except ApiError as error:
            return str(error)
        came = {"source": seen[-1].get("source"), "stream": seen[-1].get("server")}
        return None if came == names else f"pictures come from {came}, and there are {names}"

    await until(settled, "the stream", PATIENCE)
    return seen[-1]


async def more(bed: LiqoBed, since: Object) -> Object:
    """The summary after enough more pictures."""
    seen: list[Object] = [since]

    async def enough() -> str | None:
        seen.append(await viewed(bed))
        missing = since["pictures"] + ENOUGH - seen[-1]["pictures"]
        return None if missing <= 0 else f"{missing} pictures to come"

    await until(enough, "more pictures", PATIENCE)
    return seen[-1]


async def all_arrive(bed: LiqoBed) -> Object:
    """Look at a running stream for a while; its last summary."""
    before = await served_by_these(bed)
    after = await more(bed, before)
    assert after["lost"] == before["lost"] and after["disordered"] == before["disordered"]
    numbers = (await viewed(bed, "frames"))["numbers"][-ENOUGH:]
    assert numbers == list(range(numbers[0], numbers[0] + ENOUGH))
    assert (after["source"], after["server"]) == (before["source"], before["server"])
    return after


async def test_every_picture_of_a_stream_arrives_over_one_cluster_and_over_two(bed: LiqoBed) -> None:
    await bed.apply(NAME, streaming())
    await bed.ready(NAME)
    one = await all_arrive(bed)
    assert ipaddress.ip_address(one["sourceAddress"]) in PODS
    assert one["medianMilliseconds"] > 0

    await bed.apply(NAME, streaming(stream="b"))
    await bed.ready(NAME)
    await bed.runs("b", "stream", home=HOME)
    two = await all_arrive(bed)
    assert two["server"] == (await bed.pods("b", HOME))["stream"]["metadata"]["name"] != one["server"]
    assert ipaddress.ip_address(two["sourceAddress"]) not in PODS, "the server sees a source behind the link"
    assert two["source"] == one["source"], "only the server has moved"

    await bed.apply(NAME, streaming())
    await bed.ready(NAME)
    back = await all_arrive(bed)
    assert ipaddress.ip_address(back["sourceAddress"]) in PODS
    assert back["server"] != two["server"] and not await bed.pods("b", HOME)
    await bed.remove(NAME)
