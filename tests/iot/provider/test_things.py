"""Services, networks, ports and workloads where the endpoint fails, and where it is OpenStack's IoTronic."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from continuo.iot.provider.kinds import exposed
from continuo.resources.boards import EXPOSED_SERVICE, PORT, SERVICE, VIRTUAL_NETWORK, WORKLOAD
from continuo.resources.meta import Kind, condition

from .bench import Bench, external, provider_world

pytestmark = pytest.mark.anyio
SUBNET = "33333333-3333-4333-8333-333333333333"
THINGS: list[tuple[Kind, str, str, dict[str, Any]]] = [
    (SERVICE, "POST", "services", {"port": 22}),
    (EXPOSED_SERVICE, "POST", "boards/.*/services/.*/action", {"boardRef": {"name": "pump"}, "port": 22}),
    (VIRTUAL_NETWORK, "POST", "networks", {"cidr": "10.0.0.0/24"}),
    (PORT, "PUT", "boards/.*/ports", {"boardRef": {"name": "pump"}, "networkId": "lab"}),
    (WORKLOAD, "POST", "boards/.*/workloads", {"boardRef": {"name": "pump"}, "command": ["one"], "job": {}}),
]  # fmt: skip


def why(bench: Bench, kind: Kind, name: str, type_: str = "Synced") -> str:
    return str((condition(bench.get(kind, name), type_) or {}).get("message") or "")


def capable(bench: Bench, board: str) -> None:
    bench.fake.rows["boards"][board]["capabilities"] = ["desire", "process", "tap"]
    bench.fake.tell("board.updated", board=board)


def left(bench: Bench) -> int:
    things = bench.fake.things
    return sum(map(len, (bench.fake.rows["services"], things.exposed, things.networks, things.ports, things.workloads)))


@pytest.mark.parametrize("fault", ["lost", "500-done", "500", "refuse", "busy"])
@pytest.mark.parametrize(("kind", "method", "path", "fields"), THINGS, ids=[kind.plural for kind, *_ in THINGS])
async def test_a_creation_that_fails_leaves_exactly_one(
    kind: Kind, method: str, path: str, fields: dict[str, Any], fault: Any
) -> None:
    async with provider_world() as bench:
        capable(bench, await bench.board("pump"))
        bench.fake.fault(method, path, fault, times=2)
        before = len(bench.fake.created)
        await bench.make(kind, "it", fields)
        await bench.until(kind, lambda found: bool(external(found[0])))
        await bench.until_ready(kind, "it", type_="Synced")
        again = 2 if kind is EXPOSED_SERVICE and fault == "refuse" else 0  # its service was removed each time
        assert len(bench.fake.created) == before + 1 + again
        assert left(bench) == (2 if kind is EXPOSED_SERVICE else 1)
        await bench.cluster.delete(kind, "it", "default")
        await bench.until_gone(kind, "it")
        assert left(bench) == 0


async def test_a_port_of_neutron_is_found_by_its_board_and_subnet() -> None:
    async with provider_world(events=False) as bench:
        board = await bench.board("pump")
        bench.fake.fault("PUT", "boards/.*/ports", "lost")
        fields = {"boardRef": {"name": "pump"}, "networkId": "net", "subnetId": SUBNET}
        await bench.make(PORT, "it", fields)
        await bench.until_ready(PORT, "it")
        (row,) = bench.fake.things.ports.values()
        assert bench.external(PORT, "it") == row["uuid"] and len(bench.fake.created) == 2
        # another object at the same place gets a port of its own, and not that one
        await bench.make(PORT, "second", fields)
        await bench.until_ready(PORT, "second")
        assert len(bench.fake.things.ports) == 2 and bench.external(PORT, "second") != row["uuid"]
        bench.fake.connect(board, online=False)
        await bench.until_ready(PORT, "it", status="False")
        await bench.until_ready(PORT, "it", type_="Synced")


async def test_what_an_iotronic_has_not_is_said() -> None:
    async with provider_world(events=False) as bench:
        await bench.board("pump")
        await bench.make(VIRTUAL_NETWORK, "lab", {"cidr": "10.0.0.0/24"})
        await bench.make(WORKLOAD, "job", {"boardRef": {"name": "pump"}, "command": ["one"]})
        await bench.until_ready(VIRTUAL_NETWORK, "lab", type_="Synced", status="False")
        await bench.until_ready(WORKLOAD, "job", type_="Synced", status="False")
        assert "there is no /v1/networks" in why(bench, VIRTUAL_NETWORK, "lab")
        await bench.until(WORKLOAD, lambda _: "use a Continuo hub" in why(bench, WORKLOAD, "job"))
        for kind, name in ((VIRTUAL_NETWORK, "lab"), (WORKLOAD, "job")):
            await bench.cluster.delete(kind, name, "default")
            await bench.until_gone(kind, name)


async def test_a_service_of_an_iotronic_is_exposed_once_when_its_board_is_there() -> None:
    async with provider_world(events=False) as bench:
        board = await bench.board("pump", online=False)
        await bench.make(EXPOSED_SERVICE, "web", {"boardRef": {"name": "pump"}, "port": 80})
        await bench.until_ready(EXPOSED_SERVICE, "web", type_="Synced")
        await bench.until_ready(EXPOSED_SERVICE, "web", status="False")
        assert "offline" in why(bench, EXPOSED_SERVICE, "web", "Ready") and not bench.fake.things.exposed
        bench.fake.fault("POST", "boards/.*/services/.*/action", "lost")
        bench.fake.connect(board)
        await bench.until_ready(EXPOSED_SERVICE, "web")
        assert len(bench.fake.things.exposed) == 1 == len(bench.fake.rows["services"])
        assert bench.fake.count("POST", "boards/.*/services/.*/action") == 1
        await bench.cluster.delete(EXPOSED_SERVICE, "web", "default")
        await bench.until_gone(EXPOSED_SERVICE, "web")
        assert left(bench) == 0


async def test_a_dead_tunnel_gets_its_time_before_it_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposed, "PATIENCE", 3600.0)
    async with provider_world() as bench:
        board = await bench.board("pump")
        await bench.make(EXPOSED_SERVICE, "web", {"boardRef": {"name": "pump"}, "port": 80})
        await bench.until_ready(EXPOSED_SERVICE, "web")
        (key,) = bench.fake.things.exposed
        bench.fake.things.dead.add(key)
        bench.fake.tell("service.changed", board=board, object=key[1])
        await bench.until_ready(EXPOSED_SERVICE, "web", status="False")
        assert bench.fake.things.restored == 0
        monkeypatch.setattr(exposed, "PATIENCE", 0.0)
        bench.fake.tell("service.changed", board=board, object=key[1])
        await bench.until_ready(EXPOSED_SERVICE, "web")
        assert bench.fake.things.restored == 1
        await asyncio.sleep(0)
