"""The provider against OpenStack's own IoTronic 0.4.17: what it makes there, finds again, mends and takes away."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from continuo.iot import pickled
from continuo.resources import kinds
from continuo.resources.boards import (
    BOARD,
    CLUSTER_PROVIDER_CONFIG,
    EXPOSED_SERVICE,
    FLEET,
    PLUGIN,
    PLUGIN_CALL,
    PLUGIN_INJECTION,
    PORT,
    SERVICE,
    VIRTUAL_NETWORK,
    WORKLOAD,
)
from continuo.resources.meta import Kind, condition
from continuo.testbed import waiting
from iot.provider.bench import FAST, Bench, provider_world
from real import iotronic_bed as bed

why = "not asked for: python -m real iotronic" if os.environ.get("CONTINUO_TEST_REAL") != "1" else bed.impossible()
pytestmark = [pytest.mark.anyio, pytest.mark.skipif(why is not None, reason=why or "")]

CODE = "class Worker:\n    pass\n"
KINDS = (WORKLOAD, PORT, VIRTUAL_NETWORK, EXPOSED_SERVICE, PLUGIN_CALL, PLUGIN_INJECTION, SERVICE, PLUGIN, FLEET, BOARD)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bed.IoTronic]:
    with bed.iotronic(tmp_path_factory.mktemp("iotronic")) as made:
        yield made


@asynccontextmanager
async def provider(there: bed.IoTronic) -> AsyncIterator[tuple[Bench, bed.Between]]:
    """The provider, and what it asks; afterwards IoTronic is empty."""
    async with provider_world(settings=FAST, started=False) as bench, bed.between(there.url) as line:
        spec = {"endpoint": line.url, "authType": "noauth"}
        await bench.cluster.patch(CLUSTER_PROVIDER_CONFIG, "default", {"spec": spec})
        await bench.start()
        try:
            yield bench, line
        except AssertionError as error:
            raise AssertionError(f"{error}\n-- asked: {line.log[-20:]}\n-- IoTronic:\n{there.told()}") from error


async def emptied(bench: Bench, there: bed.IoTronic) -> None:
    """Everything is deleted at once, in no order, and nothing is left."""
    for kind in KINDS:
        for obj in bench.api.list(kind, "default"):
            await bench.cluster.delete(kind, obj["metadata"]["name"], "default")
    for kind in KINDS:
        await bench.until(kind, lambda found: not found, timeout=bed.PATIENCE)
    assert there.tables() == {}


def message(bench: Bench, kind: Kind, name: str, type_: str) -> str:
    return str((condition(bench.get(kind, name), type_) or {}).get("message", ""))


async def test_what_needs_no_board_is_made_changed_and_taken_away(there: bed.IoTronic) -> None:
    async with provider(there) as (bench, _):
        for name, site in (("b1", "north"), ("b2", "north"), ("b3", "south")):
            await bench.make(BOARD, name, {"type": "server"}, labels={"site": site})
        await bench.make(FLEET, "north", {"memberSelector": {"matchLabels": {"site": "north"}}})
        await bench.make(PLUGIN, "meter", {"code": CODE, "callable": True, "parameters": {"n": 1}})
        await bench.make(SERVICE, "ssh", {"port": 22})
        for kind in (FLEET, PLUGIN, SERVICE):
            await bench.until_ready(kind, bench.api.list(kind, "default")[0]["metadata"]["name"])
        await bench.until_ready(BOARD, "b1", "b2", "b3", type_="Synced")
        members = "SELECT name FROM boards WHERE fleet = ? ORDER BY name"
        fleet = bench.external(FLEET, "north")
        await bench.until(FLEET, lambda _: there.rows(members, fleet) == [("b1",), ("b2",)])
        assert "no agent has used the code" in message(bench, BOARD, "b1", "Ready")

        await bench.change(BOARD, "b3", metadata={"labels": {"site": "north"}})
        await bench.change(BOARD, "b1", metadata={"labels": {"site": "south"}})
        await bench.until(FLEET, lambda _: there.rows(members, fleet) == [("b2",), ("b3",)])
        await bench.change(PLUGIN, "meter", spec={"forProvider": {"code": CODE + "# é new\n", "parameters": {"n": 2}}})
        await bench.change(SERVICE, "ssh", spec={"forProvider": {"port": 2222}})
        await bench.until(SERVICE, lambda _: there.rows("SELECT port, protocol FROM services") == [(2222, "TCP")])
        await bench.until(PLUGIN, lambda _: stored(there) == CODE + "# é new\n")
        await bench.until_ready(PLUGIN, "meter")
        await emptied(bench, there)


def stored(there: bed.IoTronic) -> str:
    """A plugin's code, as a board would understand it."""
    ((code,),) = there.rows("SELECT code FROM plugins")
    return pickled.loads(str(code))


async def register(bench: Bench, there: bed.IoTronic, name: str) -> str:
    """A board's agent comes with the code that is in the connection Secret."""
    await bench.until(BOARD, lambda _: bool(bench.external(BOARD, name)))
    data = bench.api.get(kinds.SECRET, f"{name}-board", "default")["data"]
    told = await asyncio.to_thread(there.move, "register", base64.b64decode(data["code"]).decode())
    assert told["uuid"] == bench.external(BOARD, name)
    return str(told["uuid"])


async def has(there: bed.IoTronic, board: str) -> dict[str, Any]:
    return await asyncio.to_thread(there.move, "have", board)


LOST: tuple[tuple[Kind, str, dict[str, Any]], ...] = (
    (BOARD, "boards", {}), (FLEET, "fleets", {}), (PLUGIN, "plugins", {"code": CODE}), (SERVICE, "services", {"port": 22}),
)  # fmt: skip


@pytest.mark.parametrize(("kind", "path", "fields"), LOST)
async def test_what_was_made_though_nobody_heard_it_is_found(
    there: bed.IoTronic, kind: Kind, path: str, fields: dict[str, Any]
) -> None:
    async with provider(there) as (bench, line):
        line.lose("POST", f"/v1/{path}")
        await bench.make(kind, "lost", fields)
        await bench.until_ready(kind, "lost", type_="Synced")
        await bench.until(kind, lambda _: bool(bench.external(kind, "lost")))
        assert there.rows(f"SELECT uuid FROM {path}") == [(bench.external(kind, "lost"),)]
        assert len(line.asked(lambda method, at: (method, at) == ("POST", f"/v1/{path}"))) == 1
        await emptied(bench, there)


async def test_plugins_run_on_boards_that_are_there(there: bed.IoTronic) -> None:
    async with provider(there) as (bench, _):
        await bench.make(BOARD, "pump")
        await bench.make(PLUGIN, "meter", {"code": CODE, "parameters": {"n": 0}})
        fields = {
            "boardRef": {"name": "pump"},
            "pluginRef": {"name": "meter"},
            "state": "Running",
            "parameters": {"n": 3},
        }
        await bench.make(PLUGIN_INJECTION, "meter", fields)
        await bench.until(PLUGIN_INJECTION, lambda _: "no board is connected" in told(bench, PLUGIN_INJECTION, "meter"))
        board = await register(bench, there, "pump")
        await bench.until_ready(BOARD, "pump")
        await bench.until_ready(PLUGIN_INJECTION, "meter")
        plugin = bench.external(PLUGIN, "meter")
        have = (await has(there, board))["plugins"][plugin]
        assert have == {"name": "meter", "code": CODE, "onboot": False, "alive": True, "parameters": {"n": 3}}

        await bench.change(PLUGIN, "meter", spec={"forProvider": {"code": CODE + "# new\n"}})
        await until(there, board, lambda it: it["plugins"][plugin]["code"].endswith("# new\n"))
        await until(there, board, lambda it: it["plugins"][plugin]["alive"])
        await bench.until_ready(PLUGIN_INJECTION, "meter")

        call = {"boardRef": {"name": "pump"}, "pluginRef": {"name": "meter"}, "parameters": {"n": 7}}
        await bench.make(PLUGIN_CALL, "seven", call)
        await bench.until_ready(PLUGIN_CALL, "seven")
        assert bench.get(PLUGIN_CALL, "seven")["status"]["atProvider"]["message"] == 'meter: {"n": 7}'

        await asyncio.to_thread(there.move, "leave", board)
        await bench.until_ready(PLUGIN_INJECTION, "meter", status="False")
        await bench.until_ready(PLUGIN_INJECTION, "meter", type_="Synced")
        await bench.until(PLUGIN_INJECTION, lambda _: "offline" in told(bench, PLUGIN_INJECTION, "meter"))
        await asyncio.to_thread(there.move, "come", board)
        await bench.until_ready(PLUGIN_INJECTION, "meter")
        for kind in (PLUGIN_CALL, PLUGIN_INJECTION):
            await bench.cluster.delete(kind, bench.api.list(kind, "default")[0]["metadata"]["name"], "default")
        await bench.until(PLUGIN_INJECTION, lambda found: not found)
        assert (await has(there, board))["plugins"] == {}
        await asyncio.to_thread(there.move, "leave", board)
        await emptied(bench, there)


async def test_services_are_exposed_and_closed(there: bed.IoTronic) -> None:
    async with provider(there) as (bench, line):
        await bench.make(BOARD, "pump")
        board = await register(bench, there, "pump")
        await bench.make(SERVICE, "ssh", {"port": 22})
        await bench.until_ready(SERVICE, "ssh")
        at = {"boardRef": {"name": "pump"}}
        line.lose("POST", "/v1/services")
        await bench.make(EXPOSED_SERVICE, "ssh", {**at, "serviceRef": {"name": "ssh"}})
        await bench.make(EXPOSED_SERVICE, "web", {**at, "port": 80})
        await bench.until_ready(EXPOSED_SERVICE, "ssh", "web")
        assert there.tables("services", "exposed_services") == {"services": 2, "exposed_services": 2}
        have = (await has(there, board))["services"]
        assert sorted(each["port"] for each in have.values()) == [22, 80]
        told_ports = {obj["status"]["atProvider"]["publicPort"] for obj in bench.api.list(EXPOSED_SERVICE, "default")}
        assert told_ports == {each["public_port"] for each in have.values()}
        for kind in (EXPOSED_SERVICE, SERVICE):
            for obj in bench.api.list(kind, "default"):
                await bench.cluster.delete(kind, obj["metadata"]["name"], "default")
        for kind in (EXPOSED_SERVICE, SERVICE):
            await bench.until(kind, lambda found: not found)
        assert (await has(there, board))["services"] == {}
        await asyncio.to_thread(there.move, "leave", board)
        await emptied(bench, there)


async def test_what_it_lacks_is_said(there: bed.IoTronic) -> None:
    async with provider(there) as (bench, _):
        await bench.make(BOARD, "pump")
        await register(bench, there, "pump")
        at = {"boardRef": {"name": "pump"}}
        await bench.make(VIRTUAL_NETWORK, "plant", {"cidr": "10.9.0.0/24"})
        await bench.make(PORT, "plant", {**at, "networkRef": {"name": "plant"}})
        await bench.make(WORKLOAD, "sum", {**at, "command": ["true"], "job": {}})
        for kind, name, words in (
            (VIRTUAL_NETWORK, "plant", "has no networks of its own"),
            (PORT, "plant", "VirtualNetwork 'plant', which the endpoint does not know"),
            (WORKLOAD, "sum", "runs no workloads"),
        ):
            await bench.until_ready(kind, name, type_="Synced", status="False")
            assert words in message(bench, kind, name, "Synced")
        await asyncio.to_thread(there.move, "leave", bench.external(BOARD, "pump"))
        await emptied(bench, there)


async def test_a_board_that_is_there_cannot_be_deleted_which_is_said(there: bed.IoTronic) -> None:
    """IoTronic 0.4.17 calls a procedure that no agent of today has."""
    async with provider(there) as (bench, _):
        await bench.make(BOARD, "pump")
        board = await register(bench, there, "pump")
        await bench.until_ready(BOARD, "pump")
        await bench.cluster.delete(BOARD, "pump", "default")
        await bench.until_ready(BOARD, "pump", type_="Synced", status="False")
        assert "stop its agent" in message(bench, BOARD, "pump", "Synced")
        await asyncio.to_thread(there.move, "leave", board)
        await emptied(bench, there)


async def test_boards_at_rest_cost_nothing_each(there: bed.IoTronic) -> None:
    async with provider(there) as (bench, line):
        names = [f"b{number:02}" for number in range(12)]
        for name in names:
            await bench.make(BOARD, name, labels={"site": "north"})
        await bench.make(FLEET, "north", {"memberSelector": {"matchLabels": {"site": "north"}}})
        await bench.until(FLEET, lambda found: found[0]["status"]["atProvider"]["members"] == len(names))
        began = len(line.log)
        lists = ("/v1/boards/detail", "/v1/fleets")
        await bench.until(BOARD, lambda _: [at for _, at in line.log[began:]].count(lists[0]) >= 5)
        assert {at for _, at in line.log[began + len(names) :]} <= set(lists)
        await emptied(bench, there)


def told(bench: Bench, kind: Kind, name: str) -> str:
    return message(bench, kind, name, "Ready") + message(bench, kind, name, "Synced")


async def until(there: bed.IoTronic, board: str, holds: Callable[[dict[str, Any]], bool]) -> None:
    """Until it is so on the board."""

    async def probe() -> str | None:
        found = await has(there, board)
        return None if holds(found) else str(found)

    await waiting.until(probe, "the board", bed.PATIENCE)
