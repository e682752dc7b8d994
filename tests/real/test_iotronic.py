"""The provider against OpenStack's own IoTronic 0.4.17: what it makes there, finds again, mends and takes away."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from continuo.iot import pickled
from continuo.resources.boards import (
    BOARD,
    CLUSTER_PROVIDER_CONFIG,
    EXPOSED_SERVICE,
    FLEET,
    PLUGIN,
    PLUGIN_INJECTION,
    PORT,
    SERVICE,
    VIRTUAL_NETWORK,
    WORKLOAD,
)
from continuo.resources.meta import Kind, condition
from iot.provider.bench import FAST, Bench, provider_world
from real import iotronic_bed as bed

why = "not asked for: python -m real iotronic" if os.environ.get("CONTINUO_TEST_REAL") != "1" else bed.impossible()
pytestmark = [pytest.mark.anyio, pytest.mark.skipif(why is not None, reason=why or "")]

CODE = "class Worker:\n    pass\n"
KINDS = (WORKLOAD, PORT, VIRTUAL_NETWORK, EXPOSED_SERVICE, PLUGIN_INJECTION, SERVICE, PLUGIN, FLEET, BOARD)


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
