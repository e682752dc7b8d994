"""Workloads of fleets go to boards that fit, stay while boards come back soon, and move when they do not."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.iot.hub.model import Workload
from continuo.iot.hub.placing import wish, wrong
from iot.hub.bench import Bench, hub

pytestmark = pytest.mark.anyio

SICILY = {"within": {"west": 12, "south": 36, "east": 16, "north": 39}}


def place(east: float, north: float) -> list[dict[str, str]]:
    return [{"longitude": str(east), "latitude": str(north), "altitude": "0"}]


async def spread(bench: Bench, lab: Any, **more: Any) -> Workload:
    body = {"name": "web", "command": ["serve"], **more}
    made = await lab.ask("POST", "/v1/fleets/all/workloads", body)
    assert made.status == 201, made.body
    found = bench.core.registry.table(Workload).get(made.json["uuid"])
    assert found is not None
    return found


def where(bench: Bench, workload: Workload) -> set[str]:
    return {bench.record(str(part.board)).name for part in bench.hub.workloads.children(workload)}


async def test_replicas_move_from_boards_that_stay_away(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        await lab.made("fleets", name="all")
        here = {"fleet": "all", "location": place(15, 37), "extra": {"labels": {"area": "south"}}}
        boards = {name: (await bench.online(lab, name, **here))[0]["uuid"] for name in ("a", "b")}
        await bench.online(lab, "far", fleet="all", location=place(11, 60), extra={"labels": {"area": "south"}})
        workload = await spread(
            bench, lab, replicas=1, placement={**SICILY, "matchLabels": {"area": "south"}, "grace": 60}
        )
        (first,) = where(bench, workload)
        other = "b" if first == "a" else "a"
        await bench.boards.leave(boards[first])
        await bench.hub.workloads.settle()
        bench.clock.now += 59
        await bench.hub.workloads.settle()
        assert where(bench, workload) == {first}
        bench.clock.now += 2
        await bench.hub.workloads.settle()
        assert where(bench, workload) == {other}
        told = bench.hub.workloads.placed(workload).why
        assert told[boards[first]] == "it is offline for 61 s, so it gets nothing new"
        await bench.boards.come(boards[first])
        await bench.hub.workloads.settle()
        assert where(bench, workload) == {other}
        assert bench.boards.agents[boards[other]].capabilities


async def test_what_boards_reported_decides(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        await lab.made("fleets", name="all")
        for name, free in (("little", 32 << 20), ("much", 512 << 20)):
            board, agent = await bench.online(lab, name, fleet="all")
            agent.said["health"] = {"load": 0.5, "cpus": 2, "memory": {"total": 1 << 30, "free": free}}
            await bench.core.presence.reported(board["uuid"], agent.said)
        workload = await spread(bench, lab, replicas=2, resources={"memory": "64Mi", "cpu": "1500m"})
        assert where(bench, workload) == {"much"}
        decision = bench.hub.workloads.placed(workload)
        assert decision.missing == 1
        assert "it has 32 MiB of memory free, and 64 MiB are needed" in decision.why.values()
        box = await lab.ask("POST", "/v1/fleets/all/workloads", {"name": "c", "runtime": "container", "image": "x"})
        assert box.json["parts"] == []  # no agent said that it runs containers


@pytest.mark.parametrize(
    ("placement", "sentence"),
    [
        ({}, None),
        (SICILY, None),
        ({"near": {"longitude": "15", "latitude": 38}, "spread_by": "room", "grace": 0}, None),
        ({"nearby": {}}, "has nearby, which is none of match_labels, near, within, spread_by, grace"),
        ({"match_labels": {"a": 1}}, "must have texts as the values of match_labels"),
        ({"match_labels": [1]}, "must have texts as the values of match_labels"),
        (
            {"near": {"longitude": 181, "latitude": 0}},
            "must have longitude and latitude in near, as numbers of degrees",
        ),
        ({"near": [1, 2]}, "must have longitude and latitude in near, as numbers of degrees"),
        ({"within": {"west": 1}}, "must have west, south, east and north in within, as numbers of degrees"),
        ({"spreadBy": 1}, "must have a label's name as spread_by"),
        ({"grace": -1}, "must have seconds as grace, from 0"),
        ({"grace": True}, "must have seconds as grace, from 0"),
    ],
)
def test_wishes(placement: dict[str, Any], sentence: str | None) -> None:
    assert wrong(placement) == sentence
    if sentence is None:
        assert wish({"placement": placement}).replicas is None


async def test_a_wrong_placement_is_refused(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        await lab.made("fleets", name="all")
        said = await lab.ask("POST", "/v1/fleets/all/workloads", {"name": "w", "command": ["x"], "placement": {"x": 1}})
        assert said.status == 400 and "placement has x, which is none of" in said.fault
