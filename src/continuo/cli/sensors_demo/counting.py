"""What is counted: readings that leave the edge, and where they arrive."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import aiomqtt
import msgspec

from continuo.cli.failures import Failed
from continuo.cli.sensors_demo import scene
from continuo.cli.sensors_demo.receivers import Claim, Receiver, Receivers

READINGS = 10
"""Readings of a sensor that are counted."""


class _Published(msgspec.Struct):
    sensor: str
    sequence: int


class Ear:
    """Hears everything that is published at an edge node's MQTT broker."""

    def __init__(self) -> None:
        self.heard: dict[str, list[int]] = {}
        """Sequence numbers by sensor."""
        self._changed = asyncio.Event()

    async def listen(self, client: aiomqtt.Client) -> None:
        """Until cancelled."""
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                said = msgspec.json.decode(message.payload, type=_Published)
                self.heard.setdefault(said.sensor, []).append(said.sequence)
                self._changed.set()

    async def until(self, sensors: tuple[str, ...], count: int) -> None:
        """Return when so many readings of each of these were heard."""
        while any(len(self.heard.get(sensor, ())) < count for sensor in sensors):
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def hearing(port: int) -> AsyncIterator[Ear]:
    """An ear at the broker on that port."""
    ear = Ear()
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(f"{scene.SPACE}/#", qos=1)
        task = asyncio.create_task(ear.listen(client))
        try:
            yield ear
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Counted:
    """Some consecutive readings of one sensor."""

    sensor: str
    readings: int
    published: int
    """MQTT messages at the edge with these readings."""
    posts: dict[str, int]
    """HTTP requests with these readings, by endpoint."""
    events: int
    """Different `ce-id` among them: a reading has the same one everywhere."""
    claims: dict[Claim, int]
    """Who measured and who vouches for that, and how many of the requests said so."""


async def once(
    port: int, receivers: Receivers, paths: dict[str, list[Receiver]], timeout: float
) -> list[Counted]:  # fmt: skip
    """Follow some readings from the edge to all endpoints. `paths`: where each sensor's readings go."""
    try:
        async with asyncio.timeout(timeout), hearing(port) as ear:
            await ear.until(tuple(paths), READINGS)
            heard = {sensor: list(numbers) for sensor, numbers in ear.heard.items() if sensor in paths}
    except TimeoutError:
        raise Failed(f"fewer than {READINGS} readings of a sensor were published in {timeout:g} s") from None
    windows = {sensor: range(numbers[0], numbers[0] + READINGS) for sensor, numbers in heard.items()}

    def come() -> bool:
        return all(
            any(post.sequence >= windows[sensor][-1] for post in each.posts.get(sensor, ()))
            for sensor, theirs in paths.items() for each in theirs
        )  # fmt: skip

    await receivers.until(come, timeout, "published readings to be delivered")
    return [_counted(sensor, window, heard[sensor], paths[sensor]) for sensor, window in windows.items()]


def _counted(sensor: str, window: range, heard: list[int], receivers: list[Receiver]) -> Counted:
    posts = {each.endpoint.name: [post for post in each.posts[sensor] if post.sequence in window] for each in receivers}
    events = {post.event for theirs in posts.values() for post in theirs}
    claims = Counter(post.claim for theirs in posts.values() for post in theirs)
    published = sum(number in window for number in heard)
    counts = {name: len(theirs) for name, theirs in posts.items()}
    return Counted(sensor, len(window), published, counts, len(events), claims)


@dataclass(frozen=True, slots=True)
class Totals:
    """What the relay itself has counted since it started."""

    taken: int
    twice: int
    delivered: int


async def totals(address: str) -> Totals:
    """As its metrics say."""
    async with (
        aiohttp.ClientSession(trust_env=False) as http,
        http.get(f"http://{address}/metrics", timeout=aiohttp.ClientTimeout(10)) as answer,
    ):
        lines = (await answer.text()).splitlines()

    def total(name: str) -> int:
        found = [line for line in lines if line.partition(" ")[0].partition("{")[0] == f"continuo_relay_{name}"]
        return int(sum(float(line.rpartition(" ")[2]) for line in found))

    return Totals(total("readings_total"), total("readings_doubled_total"), total("readings_delivered_total"))
