"""The mapper: what it simulates, what it describes, and that nothing is lost while broker or cloud are away."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import yaml

from continuo.edge.discovery.boards import board_of
from continuo.edge.mapper.buffer import Buffer, BufferFailed
from continuo.edge.mapper.driver import Simulated
from continuo.edge.mapper.manifests import devices_of, models_of
from continuo.edge.mapper.mapper import Clock, Mapper
from continuo.edge.mapper.model import BadMapper, Source, parse, read, sources
from continuo.edge.mapper.payload import as_influx, as_json
from continuo.edge.mapper.profiles import PROFILES
from continuo.edge.mapper.publisher import Cloud, Publisher
from continuo.edge.mapper.waves import USUAL, Wave, Waveform, usual
from continuo.edge.mqtt.embedded import EmbeddedBroker
from continuo.edge.relay.reading import stamp
from continuo.edge.sensors.annotation import decode

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[3] / "examples" / "mapper.yaml"


@pytest.fixture
async def buffer(tmp_path: Path) -> AsyncIterator[Watched]:
    made = Watched(tmp_path / "b.sqlite")
    await made.open()
    yield made
    await made.close()


class Watched(Buffer):
    """Says when what was confirmed has been taken out."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.taken = asyncio.Event()

    async def delivered(self, until: int) -> None:
        await super().delivered(until)
        self.taken.set()

    async def empty(self) -> None:
        """Return when nothing is left in it; it is emptied in rounds."""
        async with asyncio.timeout(20):
            while self.count:
                self.taken.clear()
                await self.taken.wait()


def file(**device: Any) -> dict[str, Any]:
    return {"devices": [{"name": "d", "board": "STWINKT1B", **device}]}


# waves


@pytest.mark.parametrize("shape", ["sine", "noise", "step", "walk", "constant"])
def test_waves_are_the_same_for_the_same_seed(shape: Any) -> None:
    wave = Wave(shape=shape, mean=10, amplitude=3, period=8, noise=0.5, lowest=5, highest=15)
    runs = [[waveform.sample(t / 4) for t in range(400)] for waveform in (Waveform(wave, "a"), Waveform(wave, "a"))]
    assert runs[0] == runs[1] and all(5 <= value <= 15 for value in runs[0])
    assert runs[0] != [Waveform(wave, "b").sample(t / 4) for t in range(400)]


def test_a_walk_stays_near_its_mean_and_a_sine_reaches_its_ends() -> None:
    walk = Waveform(Wave(shape="walk", mean=100, amplitude=1), "s")
    assert all(abs(walk.sample(t) - 100) < 30 for t in range(5000))
    sine = [Waveform(Wave(mean=1, amplitude=2, period=10), "s").sample(t / 10) for t in range(100)]
    assert min(sine) == pytest.approx(-1, abs=0.01) and max(sine) == pytest.approx(3, abs=0.01)
    assert usual("Angular Velocity") is USUAL["angularvelocity"] and usual("Torque").amplitude == 1


# files


BAD: list[tuple[Any, str]] = [
    ({}, "missing required field `devices`"),
    ({"devices": []}, "length >= 1"),
    ([], "Expected `object`"),
    (file(board="ESP32"), "board 'ESP32' is not known; there are STWIN"),
    (file(name="No Name"), "matching regex"),
    (file(macAddress="00:11"), "matching regex"),
    (file(sensors=["hts220"]), "has no 'hts220'; it has hts221"),
    (file(overrides={"x": {}}), "has no 'x'"),
    (file(overrides={"hts221": {"rate": 0}}), "> 0"),
    (file(overrides={"hts221": {"rate": 100000}}), "<= 1000"),
    (file(overrides={"hts221": {"waves": {"Humidity": {"shape": "saw"}}}}), "'saw'"),
    (file(overrides={"hts221": {"waves": {"Humidity": {"period": 0}}}}), "> 0"),
    (file(dropouts={"probability": 2}), "<= 1"),
    (file(colour="red"), "unknown field `colour`"),
    ({"devices": [{"name": "d"}, {"name": "d"}]}, "two devices are called d"),
    ({"format": "xml", "devices": [{"name": "d"}]}, "'xml'"),
]


@pytest.mark.parametrize(("data", "sentence"), BAD)
def test_bad_files_are_refused_with_a_sentence(data: Any, sentence: str) -> None:
    with pytest.raises(BadMapper) as refused:
        parse(data, "m.yaml")
    assert sentence in str(refused.value) and str(refused.value).startswith("m.yaml: ")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "says nothing of devices"), ("- 1", "says nothing of devices"), ("{", "cannot be read as YAML"),
        ("kind: Pod", "none of kind Device"), ("devices: [{name: a}]\n---\ndevices: [{name: b}]", "has 2 documents"),
        ("\x00", "cannot be read as YAML"),
    ],
)  # fmt: skip
def test_bad_yaml(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "m.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(BadMapper, match=sentence):
        read(tmp_path / "m.yaml")


@pytest.mark.parametrize(
    ("annotations", "sentence"),
    [({}, "has no annotation"), ({"sensors": "%%%"}, "Device d: "), (None, "has no annotation")],
)
def test_bad_devices(annotations: Any, sentence: str) -> None:
    with pytest.raises(BadMapper, match=sentence):
        sources([{"kind": "Device", "metadata": {"name": "d", "annotations": annotations}, "spec": {}}])


def test_the_example_and_what_is_printed_of_it_are_the_same_sensors(tmp_path: Path) -> None:
    said, _ = read(EXAMPLE)
    assert said is not None
    devices = devices_of(said)
    printed = tmp_path / "devices.yaml"
    printed.write_text(yaml.safe_dump_all([*models_of(said), *devices]), encoding="utf-8")
    nothing, again = read(printed)
    assert nothing is None and again == devices
    first, second = sources(devices, said), sources(again)
    assert [(each.channel, each.sensor, each.rate) for each in first] == [
        (each.channel, each.sensor, each.rate) for each in second
    ]
    assert first[0].channel == ("fluidos/sensor/E9906EF209A8/00140000-0001-11e1-ac36-0002a5d5c51b/hts221")
    assert {model["metadata"]["name"] for model in models_of(said)} == {"stwinkt1b", "sensortile.box-pro"}


@pytest.mark.parametrize("board", PROFILES)
def test_every_board_is_described_so_that_it_is_understood(board: str) -> None:
    (device,) = devices_of(parse(file(board=board, macAddress="00:11:22:AA:BB:CC"), "m"))
    decoded = decode(device["metadata"]["annotations"]["sensors"], device="d")
    assert decoded.problems == () and len(decoded.sensors) == len(PROFILES[board].parts)
    assert {sensor.manufacturer for sensor in decoded.sensors} == {"STMicroelectronics"}
    assert all(len(sensor.types) and sensor.latency and sensor.sampling_rate for sensor in decoded.sensors)
    assert len({source.channel for source in sources([device])}) == len(decoded.sensors)
    assert board_of({**device, "metadata": {**device["metadata"], "namespace": "default"}}).node == "edge"
    raw = json.loads(base64.b64decode(device["metadata"]["annotations"]["sensors"]))
    assert all(entry["properties"]["unit"]["measurement"] for entry in raw)


# payloads


def one(**device: Any) -> list[Source]:
    said = parse(file(sensors=["hts221"], **device), "m")
    return sources(devices_of(said), said)


def test_payloads_say_time_and_number_as_the_relay_reads_them() -> None:
    (source,) = one()
    values = {"Temperature": 21.5, "Humidity": 40.0}
    body = as_json(source, values, 1_700_000_000.25, 7)
    assert json.loads(body)["values"] == values and json.loads(body)["units"]["Humidity"] == "%"
    line = as_influx(source, values, 1_700_000_000.25, 7)
    assert line.startswith(b"sensor,device=d,model=hts221,sensor=") and line.endswith(b" 1700000000250000000")
    for each in (body, line):
        found = stamp(each)
        assert found.numbered and found.time == pytest.approx(1_700_000_000.25)


# the buffer


async def test_a_buffer_keeps_order_and_numbers_over_a_restart(tmp_path: Path) -> None:
    first = Buffer(tmp_path / "b.sqlite")
    await first.open()
    await first.add([("t", number, b"%d" % number) for number in range(1, 6)])
    await first.delivered((await first.oldest(2))[-1].number)
    last = (await first.oldest(10))[-1].number
    await first.delivered(last)
    await first.close()
    again = Buffer(tmp_path / "b.sqlite")
    await again.open()
    assert await again.sequences() == {"t": 5} and again.count == 0
    await again.add([("t", 6, b"6")])
    (kept,) = await again.oldest(10, after=last)
    assert kept.body == b"6"
    await again.close()


async def test_a_buffer_is_bounded_by_number_and_bytes(tmp_path: Path) -> None:
    for name, bounds, left in (("a", {"readings": 10}, 10), ("b", {"most_bytes": 500}, 5)):
        buffer = Buffer(tmp_path / name, **bounds)
        await buffer.open()
        for number in range(40):
            await buffer.add([("t", number, b"%03d" % number + b"x" * 97)])
        kept = await buffer.oldest(100)
        assert [each.body[:3] for each in kept] == [b"%03d" % number for number in range(40 - left, 40)]
        assert buffer.count == left and buffer.dropped == 40 - left
        await buffer.close()


# publishing


class Heard:
    """A subscriber that counts."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._client = aiomqtt.Client(broker.address.host, broker.address.port)
        self.bodies: list[bytes] = []
        self._news = asyncio.Event()

    async def __aenter__(self) -> Heard:
        await self._client.__aenter__()
        await self._client.subscribe("default/#", qos=1)
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._client.__aexit__(None, None, None)

    async def _listen(self) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            self.bodies.append(message.payload)
            self._news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.bodies) < count:
                self._news.clear()
                await self._news.wait()


class running:
    """A task for the length of a block."""

    def __init__(self, work: Any) -> None:
        self._work = work

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._work)

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def publisher(buffer: Buffer, broker: EmbeddedBroker, **more: Any) -> Publisher:
    return Publisher(buffer, broker.address, "", time.monotonic, random.Random(1), **more)


async def test_what_a_broker_missed_comes_later_in_order(buffer: Watched) -> None:
    broker = EmbeddedBroker()
    await broker.start()
    await broker.stop()
    sends = publisher(buffer, broker)
    async with running(sends.run()):
        for number in range(120):
            await buffer.add([("default/t", number, b"%d" % number)])
        sends.more()
        later = EmbeddedBroker(port=broker.address.port)
        await later.start()
        async with Heard(later) as heard:  # it may come a moment after the publisher did, so it looks at the rest
            await buffer.add([("default/t", 120, b"120")])
            sends.more()
            async with asyncio.timeout(20):
                while not heard.bodies or heard.bodies[-1] != b"120":
                    await heard.until(len(heard.bodies) + 1)
            numbers = [int(body) for body in heard.bodies]
            assert numbers == list(range(numbers[0], 121))
        await buffer.empty()
        await later.stop()
    assert sends.counts.published == 121 and buffer.count == 0


async def test_while_the_cloud_is_away_nothing_is_published_and_then_everything_unsure(buffer: Buffer) -> None:
    there, looks = True, asyncio.Event()

    async def seen() -> bool:
        looks.set()
        return there

    async def looked() -> None:
        for _ in range(2):
            looks.clear()
            await looks.wait()

    async with EmbeddedBroker() as broker, Heard(broker) as heard:
        sends = publisher(buffer, broker, cloud=Cloud(seen, every=0.01, settle=0.0))
        async with running(sends.run()):
            await buffer.add([("default/t", 1, b"1"), ("default/t", 2, b"2")])
            sends.more()
            await heard.until(2)
            await looked()
            await looked()
            assert buffer.count == 0  # the cloud was seen after they were published
            there = False
            await looked()
            await buffer.add([("default/t", 3, b"3"), ("default/t", 4, b"4")])
            sends.more()
            await looked()
            assert buffer.count == 2 and len(heard.bodies) == 2
            there = True
            await heard.until(4)
    assert heard.bodies == [b"1", b"2", b"3", b"4"]


async def test_readings_that_the_cloud_may_have_missed_are_published_twice(buffer: Buffer) -> None:
    async with EmbeddedBroker() as broker, Heard(broker) as heard:
        seen = iter([True, False, True])
        gate = asyncio.Event()

        async def look() -> bool:
            answer = next(seen, True)
            if not answer:
                await gate.wait()
            return answer

        sends = publisher(buffer, broker, cloud=Cloud(look, every=0.001, settle=60.0))
        async with running(sends.run()):
            await buffer.add([("default/t", 1, b"1"), ("default/t", 2, b"2")])
            sends.more()
            await heard.until(2)
            gate.set()
            await heard.until(4)
    assert heard.bodies == [b"1", b"2"] * 2


# all of it


async def test_a_simulated_board_publishes_in_order_and_hears_commands(buffer: Buffer) -> None:
    said = parse(
        file(sensors=["hts221", "lps22hh"], overrides={"hts221": {"rate": 200}, "lps22hh": {"rate": 100}}), "m"
    )
    found = sources(devices_of(said), said)
    clock = Clock(time.monotonic, time.time)
    async with EmbeddedBroker() as broker, Heard(broker) as heard:
        sends = publisher(buffer, broker)
        driver = Simulated(found, 1, clock.mono)
        mapper = Mapper(found, driver, buffer, clock=clock, more=sends.more)
        sends.hears = mapper.hears()
        async with running(sends.run()), running(mapper.run()):
            await heard.until(60)
            async with aiomqtt.Client(broker.address.host, broker.address.port) as cloud:
                await cloud.publish(f"commands/{found[0].topic}", b"blink", qos=1)
            await heard.until(len(heard.bodies) + 20)
    assert driver.commands == [("d", b"blink")]
    for source in found:
        said_by = [body for body in map(json.loads, heard.bodies) if body["sensor"] == source.sensor.uid]
        assert [body["sequence"] for body in said_by] == list(range(1, len(said_by) + 1))
        assert all(set(body["values"]) == set(source.sensor.types) for body in said_by)


async def test_silences_and_drivers_that_fail_stop_nobody(buffer: Buffer) -> None:
    (source,) = one(dropouts={"probability": 1.0, "length": 1000})
    silent = Simulated([source], 1, time.monotonic)
    assert [await silent.read(source) for _ in range(5)] == [None] * 5

    class Failing:
        calls = 0

        async def read(self, _: Source) -> Mapping[str, float] | None:
            self.calls += 1
            if self.calls % 2:
                raise OSError("no connection to the board")
            return {"Humidity": 1.0}

        async def command(self, _: Source, body: bytes) -> None:
            raise OSError("no connection to the board")

    said = parse(file(sensors=["hts221"], overrides={"hts221": {"rate": 500}}), "m")
    found = sources(devices_of(said), said)
    more = asyncio.Event()
    mapper = Mapper(found, Failing(), buffer, clock=Clock(time.monotonic, time.time), more=more.set)
    async with running(mapper.run()):
        while buffer.count < 5:
            more.clear()
            await asyncio.wait_for(more.wait(), 20)
    assert mapper.failed >= 5 and mapper.read >= 5


class Full(Buffer):
    """Takes nothing the first time."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.asked, self.taken = 0, asyncio.Event()

    async def add(self, readings: list[tuple[str, int, bytes]]) -> None:
        self.asked += 1
        if self.asked == 1:
            raise BufferFailed("the buffer cannot be used: database or disk is full")
        await super().add(readings)
        self.taken.set()


async def test_what_is_measured_while_the_disk_is_full_waits_for_it(tmp_path: Path) -> None:
    full = Full(tmp_path / "b.sqlite")
    await full.open()
    (source,) = one()
    clock = Clock(time.monotonic, time.time)
    mapper = Mapper([source], Simulated([source], 1, clock.mono), full, clock=clock, more=lambda: None)
    running = asyncio.create_task(mapper.run())
    await asyncio.wait_for(full.taken.wait(), 30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    numbers = [json.loads(each.body)["sequence"] for each in await full.oldest(100)]
    assert full.asked >= 2 and numbers == list(range(1, mapper.read + 1))
    await full.close()
