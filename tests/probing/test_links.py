"""Probers of links over real sockets, each with an API of its own: told of each other, they measure both directions."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.kube.config import connect
from continuo.probing import links as module
from continuo.probing.agent import Agent, start
from continuo.probing.client import Endpoint, ProbeFailed, Prober, session
from continuo.probing.links import Here, LinkProber, receive
from continuo.resources import kinds
from continuo.resources.probing import (
    MEASURED,
    PEERS,
    PROBER_LABEL,
    Peer,
    Told,
    peers_data,
    read_peers,
    read_told,
    told_data,
)

pytestmark = pytest.mark.anyio
SPACE = "probing"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is fast: nothing here needs megabytes, nor half a minute before a retry."""
    monkeypatch.setattr(module, "SIZES", (20_000, 80_000))
    monkeypatch.setattr(module, "FIRST", 0.01)
    monkeypatch.setattr(module, "RETRY", 0.01)


@dataclass
class End:
    """One cluster with the prober's ConfigMaps."""

    name: str
    api: Any
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    downloads: int = 0

    async def config(self, name: str) -> Any:
        return await self.api.get(kinds.CONFIG_MAP, name, SPACE)

    async def told(self, test: Callable[[Told], bool]) -> Told:
        """What it wrote, as soon as that holds."""
        async with asyncio.timeout(20):
            listing = await self.api.list(kinds.CONFIG_MAP, SPACE, fields=f"metadata.name={MEASURED}")
            for obj in listing.items:
                if (said := read_told(obj)) is not None and test(said):
                    return said
            async for change in self.api.watch(
                kinds.CONFIG_MAP, SPACE, since=listing.resource_version, fields=f"metadata.name={MEASURED}"
            ):
                said = read_told(change.object) if change.type != "BOOKMARK" else None
                if said is not None and test(said):
                    return said
        raise AssertionError("the watch ended")

    async def meet(self, *peers: Peer) -> None:
        await self.api.apply(config_map(PEERS, peers_data(peers)), manager="operator")

    async def peer(self) -> Peer:
        """How the others reach it."""
        said = await self.told(lambda said: bool(said.key))
        url = f"http://{said.address}:{said.port}"
        return Peer(name=self.name, probe=f"default/o/{self.name}", url=url, key=said.key)


def config_map(name: str, data: dict[str, str] | None = None) -> Any:
    obj = kinds.CONFIG_MAP.new(name, SPACE, metadata={"labels": {PROBER_LABEL: "links"}})
    return obj if data is None else {**obj, "data": data}


@pytest.fixture
async def ends(anyio_backend: str) -> AsyncIterator[tuple[End, End]]:
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine)
    await server.start()
    made = []
    try:
        for name in ("green", "rose"):
            engine.create_cluster(name)
            end = End(name, connect(server.kubeconfig(server.url(name), name), name=name))
            await end.api.apply(kinds.NAMESPACE.new(SPACE), manager="operator")
            await end.api.apply(config_map(MEASURED), manager="operator")
            made.append(end)
        yield made[0], made[1]
    finally:
        for end in made:
            await end.api.close()
        await server.stop()
        await engine.stop()


@asynccontextmanager
async def probing(end: End, every: float = 600.0) -> AsyncIterator[LinkProber]:
    """A prober at work, as `continuo prober` runs it."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(session())
        asks = Counting(end, http, lambda: end.private, time.time, time.perf_counter, timeout=2.0, transfer_timeout=5.0)
        keys: list[Callable[[], list[bytes]]] = []
        runner, port = await start(Agent(f"default/o/{end.name}", lambda: keys[0]()), "127.0.0.1", 0)
        stack.push_async_callback(runner.cleanup)
        here = Here(SPACE, f"default/o/{end.name}", "127.0.0.1", port)
        links = LinkProber(end.api, here, asks, end.private, time.time, random.Random(1), every=every)
        keys.append(links.keys)
        task = asyncio.create_task(links.run())
        try:
            yield links
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class Counting(Prober):
    """Counts the transfers."""

    def __init__(self, end: End, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._end = end

    async def download(self, endpoint: Endpoint, size: int) -> float:
        self._end.downloads += 1
        return await super().download(endpoint, size)


async def test_each_end_measures_what_it_receives_and_tells_it(ends: tuple[End, End]) -> None:
    green, rose = ends
    began = time.time()
    async with probing(green), probing(rose):
        await green.meet(await rose.peer())
        await rose.meet(await green.peer())
        for end, peer in ((green, "rose"), (rose, "green")):
            said = await end.told(lambda said, peer=peer: peer in said.links)  # type: ignore[misc]
            assert said.links[peer].bps > 0 and said.links[peer].at >= began and said.links[peer].bytes == 80_000
            assert base64.b64decode(said.key) == end.private.public_key().public_bytes_raw()
            private = base64.b64encode(end.private.private_bytes_raw()).decode()
            assert private not in str((await end.config(MEASURED)).items())


async def test_whom_the_operator_did_not_name_is_not_answered_and_the_reason_is_told(ends: tuple[End, End]) -> None:
    green, rose = ends
    async with probing(green), probing(rose):
        await green.meet(await rose.peer())  # and rose is told of nobody
        said = await green.told(lambda said: "rose" in said.failures)
        assert "refuses us with HTTP status 401" in said.failures["rose"].message and not said.links
        await rose.meet(await green.peer())
        said = await green.told(lambda said: "rose" in said.links)
        assert not said.failures, "and it is tried again"


async def test_a_prober_that_starts_again_measures_no_earlier(ends: tuple[End, End]) -> None:
    green, rose = ends
    async with probing(rose):
        async with probing(green):
            await green.meet(await rose.peer())
            await rose.meet(await green.peer())
            first = await green.told(lambda said: "rose" in said.links)
        before, green.private = green.downloads, Ed25519PrivateKey.generate()
        async with probing(green):
            again = await green.told(lambda said: said.key != first.key)
            assert again.links["rose"].bytes == 80_000 and green.downloads == before


async def test_it_measures_again_after_the_interval(ends: tuple[End, End]) -> None:
    green, rose = ends
    async with probing(green, every=0.1), probing(rose):
        await green.meet(await rose.peer())
        await rose.meet(await green.peer())
        first = await green.told(lambda said: "rose" in said.links)
        await green.told(lambda said: said.links["rose"].at > first.links["rose"].at)


async def test_what_somebody_emptied_is_written_again_and_a_link_that_went_is_forgotten(ends: tuple[End, End]) -> None:
    green, rose = ends
    async with probing(green), probing(rose):
        await green.meet(await rose.peer())
        await rose.meet(await green.peer())
        said = await green.told(lambda said: "rose" in said.links)
        await green.api.patch(kinds.CONFIG_MAP, MEASURED, {"data": {MEASURED: None}}, SPACE)
        assert (await green.told(lambda said: "rose" in said.links)).key == said.key
        await green.meet()
        await green.told(lambda said: not said.links)


async def test_peers_that_cannot_be_read_change_nothing(ends: tuple[End, End]) -> None:
    green, rose = ends
    async with probing(green), probing(rose):
        await green.api.apply(config_map(PEERS, {PEERS: "["}), manager="operator")
        await green.meet(await rose.peer())
        await rose.meet(await green.peer())
        await green.told(lambda said: "rose" in said.links)


async def test_a_transfer_that_takes_long_enough_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIZES", (256 << 10, 1 << 20, 4 << 20))
    asked = []

    class Slow:
        async def download(self, _: Endpoint, size: int) -> float:
            asked.append(size)
            return 8.0  # Mbit/s: a megabyte in a second

    found = await receive(Slow(), Endpoint("http://x", "x"))  # type: ignore[arg-type]
    assert found == (8_000_000, 1 << 20) and asked == [256 << 10, 1 << 20]


async def test_nobody_there_is_a_failure() -> None:
    async with session() as http:
        asks = Prober(http, Ed25519PrivateKey.generate, time.time, time.perf_counter, transfer_timeout=2.0)
        with pytest.raises(ProbeFailed, match="does not answer"):
            await receive(asks, Endpoint("http://127.0.0.1:9", "nobody"))


def test_what_is_told_is_read_back() -> None:
    peers = (Peer(name="a", probe="p/a", url="http://a:1", key="k"), Peer(name="b", probe="p/b", url="u", key="k"))
    assert read_peers({"data": peers_data(reversed(peers))}) == peers and read_peers(None) == ()
    told = Told(key="k", address="10.0.0.1")
    assert read_told({"data": told_data(told)}) == told and read_told({"data": {}}) is None
    with pytest.raises(ValueError, match="malformed"):
        read_told({"data": {MEASURED: "{,"}})
