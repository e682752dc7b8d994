"""Records in the catalog's database, over each kind of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from broker.catalog.bench import Clock
from continuo.broker.catalog.schema import SCHEMA
from continuo.broker.measurements.publishing import Publisher, differs
from continuo.broker.measurements.records import BadRecord, sign, verify
from continuo.broker.measurements.store import Measurements, Value
from continuo.storage.database import Database

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(storage: str, clock: Clock, history: int = 5) -> AsyncIterator[Measurements]:
    database = Database(storage, SCHEMA)
    await database.open()
    try:
        measurements = Measurements(database, "broker", clock, history=history)
        await measurements.load()
        yield measurements
    finally:
        await database.close()


def value(clock: Clock, number: float = 12.5, metric: str = "latency", provider: str = "green") -> Value:
    return Value(provider, metric, number, "ms", clock.now, 90)


async def test_records_survive_with_a_bounded_history(storage: str) -> None:
    clock = Clock()
    async with opened(storage, clock) as kept:
        for n in range(12):
            clock.now += 30
            await kept.add([value(clock, float(n)), value(clock, 1.0, "jitter"), value(clock, 2.0, provider="blue")])
    async with opened(storage, clock) as kept:
        assert kept.providers() == ["blue", "green"] and set(kept.newest("green")) == {"latency", "jitter"}
        assert kept.newest("green")["latency"].record.value == 11.0
        await kept.add([value(clock, 12.0)])
        history = await kept.history("green", "latency")
        assert [one.record.value for one in history] == [12.0, 11.0, 10.0, 9.0, 8.0]
        sequences = [one.record.sequence for one in history]
        assert sequences == sorted(set(sequences), reverse=True)
        assert len(await kept.history("green", "latency", 2)) == 2
        await kept.forget("green")
        assert kept.providers() == ["blue"] and await kept.history("green", "latency") == []
    async with opened(storage, clock) as kept:
        assert kept.providers() == ["blue"]


async def test_sequences_grow_when_the_clock_stands_or_goes_back(storage: str) -> None:
    clock = Clock()
    async with opened(storage, clock) as kept:
        made = await kept.add([value(clock), value(clock)])
        clock.now -= 1000
        made += await kept.add([value(clock)])
    sequences = [one.record.sequence for one in made]
    assert sequences == sorted(set(sequences))


async def test_a_replay_is_refused(storage: str) -> None:
    clock = Clock()
    async with opened(storage, clock) as kept:
        (old,) = await kept.add([value(clock)])
        clock.now += 30
        (new,) = await kept.add([value(clock, 50.0)])
        for text in (old.text, new.text):
            with pytest.raises(BadRecord, match="replay"):
                await kept.accept(text)
        with pytest.raises(BadRecord):
            await kept.accept(new.text[:-2] + ("AA" if not new.text.endswith("AA") else "BB"))
        await kept.forget("green")
        assert (await kept.accept(new.text)).value == 50.0
        assert kept.newest("green")["latency"].text == new.text


async def test_keys_change_and_old_records_still_verify(storage: str) -> None:
    clock = Clock()
    async with opened(storage, clock) as kept:
        (old,) = await kept.add([value(clock)])
        stolen, first = kept.private, set(kept.keys)
        clock.now += 3600
        newest = await kept.rotate()
        clock.now += 3600
        (new,) = await kept.add([value(clock)])
    async with opened(storage, clock) as kept:
        assert set(kept.keys) == first | {newest}
        assert verify(old.text, kept.keys) == old.record and verify(new.text, kept.keys) == new.record
        assert kept.private.public_key() != stolen.public_key()
        with pytest.raises(BadRecord, match="not in use"):
            verify(sign(new.record, stolen), kept.keys)


async def test_counted_checks_survive(storage: str) -> None:
    clock = Clock()
    async with opened(storage, clock) as kept:
        for n in range(40):
            clock.now += 30
            await kept.check("green", clock.now, n % 4 != 0)
        before = kept.checks("green").uptime(clock.now, 3600, 30)
    async with opened(storage, clock) as kept:
        after = kept.checks("green").uptime(clock.now, 3600, 30)
        assert before is not None and after is not None
        assert after.share == before.share == 0.75 and after.checks == 40
        assert kept.checks("blue").uptime(clock.now, 3600, 30) is None


async def test_the_catalog_is_told_of_what_is_fresh_and_not_of_every_trifle(tmp_path: object) -> None:
    clock, told = Clock(), []

    async def tell(provider: str, values: object) -> None:
        told.append((provider, values))

    async with opened(f"{tmp_path}/c.sqlite", clock) as kept:
        publisher = Publisher(kept, tell)
        await publisher.add([value(clock, 10.0)])
        clock.now += 70
        await publisher.add([value(clock, 10.5)])
        assert told == [("green", {"latency": 10.0})], "half a millisecond is no news"
        clock.now += 5
        await publisher.add([value(clock, 20.0)])
        assert told[1:] == [("green", {"latency": 20.0})]
        clock.now += 1
        await publisher.add([value(clock, 40.0)])
        assert len(told) == 2, "not more than once a minute"
        await publisher.add([value(clock, 1.0, "jitter")])
        assert told[2:] == [("green", {"latency": 40.0, "jitter": 1.0})], "something new is told at once"
        clock.now += 90
        await publisher.refresh()
        assert told[3:] == [("green", {})], "what is stale is told no more"
        await publisher.refresh()
        assert len(told) == 4


def test_a_little_uptime_is_much() -> None:
    assert differs({"uptime": 0.999}, {"uptime": 0.997}) and not differs({"latency": 9.9}, {"latency": 9.8})
