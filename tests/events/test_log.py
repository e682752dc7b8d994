"""The log and the publisher: each event once, in order, bounded; sinks that are away lose nothing."""

from __future__ import annotations

import asyncio
import datetime
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from continuo.events import publisher as publishing
from continuo.events.cloudevent import Event, decode
from continuo.events.ledger import Ledger, Work, advance
from continuo.events.log import Bounds, EventLog
from continuo.events.outbox import events_of, put, read, written
from continuo.events.publisher import Publisher
from continuo.events.sink import SinkUnavailable
from continuo.events.types import GAP
from continuo.resources.meta import Object

pytestmark = pytest.mark.anyio

NOW = datetime.datetime(2026, 1, 31, 9, 0, tzinfo=datetime.UTC)


def orchestration(uid: str = "aaaabbbbcccc-1", tasks: int = 0) -> Object:
    """One with so many tasks begun."""
    return more({"metadata": {"uid": uid, "name": f"o-{uid[:4]}", "namespace": "default"}, "status": {}}, tasks)


def more(obj: Object, tasks: int, confirmed: Sequence[str] = ()) -> Object:
    """The next state: everything that was open has ended, and so many tasks have begun."""
    ledger, box = read(obj)
    works = [Work("app.deploy", f"app/a{n}", begins=True, tenant="ann") for n in range(tasks)]
    ended, ends = advance(ledger, [], NOW)
    after, entries = advance(ended, works, NOW)
    return {**obj, "status": written(after, put(box, [*ends, *entries], confirmed))}


def positions(log: EventLog) -> list[tuple[str, int]]:
    found = [decode(entry.body) for entry in log.after(0, 10_000)]
    return [(event.source[-4:], event.data.get("position", 0)) for event in found]


def a_log(*wanted: object, **more: object) -> EventLog:
    return EventLog(*wanted, **{"clock": lambda: NOW, **more})  # type: ignore[arg-type]


class Fickle:
    """A sink that is away at times, and then has kept what it was given, or not."""

    name = "fickle"

    def __init__(self, rng: random.Random, odds: float) -> None:
        self.got: list[Event] = []
        self.asked = asyncio.Event()
        self._rng, self.odds = rng, odds

    async def publish(self, events: Sequence[Event]) -> None:
        await asyncio.sleep(0)
        self.asked.set()
        if self._rng.random() < self.odds:
            self.got += events[: self._rng.randint(0, len(events))]
            raise SinkUnavailable("away")
        self.got += events


async def test_what_comes_twice_is_kept_once() -> None:
    log = a_log()
    events = events_of(orchestration(tasks=5))
    await log.publish(events[:3])
    await log.publish(events)
    assert [position for _, position in positions(log)] == [1, 2, 3, 4, 5]
    assert [entry.number for entry in log.after(2)] == [3, 4, 5]


async def test_a_missing_event_is_said_in_its_place() -> None:
    log = a_log()
    events = events_of(orchestration(tasks=6))
    await log.publish([*events[:2], events[5]])
    told = [decode(entry.body) for entry in log.after(0)]
    assert [event.type for event in told][2] == GAP and len(told) == 4
    assert told[2].data == {
        "message": "3 events of /orchestrations/default/o-aaaa went by while nobody listened",
        "missing": 3,
    }
    await log.publish(events)
    assert len(log.after(0)) == 4, "too late"


async def test_an_object_made_anew_is_another_one() -> None:
    log = a_log()
    first, second = orchestration("aaaa11112222", 3), orchestration("aaaa33334444", 2)
    await log.publish([*events_of(first), *events_of(second)])
    assert [position for _, position in positions(log)] == [1, 2, 3, 1, 2]


async def test_it_is_bounded_by_count_and_by_age() -> None:
    clock = [NOW]
    log = a_log(bounds=Bounds(10, 60.0), clock=lambda: clock[0])
    await log.publish(events_of(orchestration("aaaa", 25)))
    assert [position for _, position in positions(log)] == list(range(16, 26)) and log.oldest == 16
    clock[0] += datetime.timedelta(seconds=61)
    await log.publish(events_of(orchestration("bbbb", 1)))
    assert log.after(0) == [] and log.oldest == 27 and log.newest == 26
    await log.publish(events_of(orchestration("aaaa", 25)))
    assert log.newest == 26, "what was forgotten is not new"


async def test_a_database_keeps_it(tmp_path: Path) -> None:
    url = str(tmp_path / "events.db")
    log = a_log(url, Bounds(10))
    await log.open()
    await log.publish(events_of(orchestration("aaaa", 12)))
    await log.close()
    again = a_log(url, Bounds(10))
    await again.open()
    try:
        assert again.epoch == log.epoch and (again.oldest, again.newest) == (3, 12)
        assert again.after(0) == log.after(0)
        await again.publish(events_of(orchestration("aaaa", 13)))
        assert [entry.number for entry in again.after(11)] == [12, 13]
    finally:
        await again.close()


async def test_two_logs_in_memory_are_told_apart() -> None:
    assert EventLog(rng=random.Random(1)).epoch != EventLog(rng=random.Random(2)).epoch


async def test_readers_are_woken() -> None:
    log = a_log()
    reader = asyncio.create_task(log.wait(0, 60))
    await asyncio.sleep(0)
    assert not reader.done()
    await log.publish(events_of(orchestration(tasks=1)))
    await asyncio.wait_for(reader, 5)


@pytest.mark.parametrize("seed", range(4))
async def test_every_sink_has_everything_in_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sinks that fail at random, and publishers that are started anew: each sink has every event, the first time in order."""
    monkeypatch.setattr(publishing, "FIRST", 0.0)
    rng = random.Random(seed)
    sinks = [Fickle(rng, 0.5), Fickle(rng, 0.2)]
    log = a_log()
    states = [orchestration(uid) for uid in ("aaaa0000", "bbbb0000", "cccc0000")]
    told: set[str] = set()
    for _ in range(6):
        publisher = Publisher([log, *sinks], rng=rng)
        publisher.start()
        for _ in range(8):
            index = rng.randrange(len(states))
            uid = states[index]["metadata"]["uid"]
            states[index] = more(states[index], rng.randint(0, 3), publisher.confirmed(uid))
            told |= {event.id for event in events_of(states[index])}
            publisher.take(states[index])
            for _ in range(rng.randint(0, 3)):
                await asyncio.sleep(0)
        await publisher.stop()
    for sink in sinks:
        sink.odds = 0.0
    publisher = Publisher([log, *sinks], rng=rng)
    publisher.start()
    for state in states:
        publisher.take(state)
    async with asyncio.timeout(10):
        await publisher.settled()
    assert not any(publisher.backlog().values())
    assert all(publisher.pending(state) is None for state in states)
    await publisher.stop()
    for sink in sinks:
        assert {event.id for event in sink.got} == told
        for state in states:
            first = list(
                dict.fromkeys(e.data["position"] for e in sink.got if e.source.endswith(state["metadata"]["name"]))
            )
            assert first == list(range(1, len(first) + 1))
    assert {entry.id for entry in log.after(0, 10_000)} == told


async def test_deletion_waits_for_a_sink_that_is_away() -> None:
    sink = Fickle(random.Random(1), 1.0)
    publisher, state = Publisher([sink], rng=random.Random(1)), orchestration(tasks=2)
    confirmed: list[Object] = []
    publisher.on_confirmed = lambda obj, _worth: confirmed.append(obj)
    state["metadata"]["deletionTimestamp"] = "2026-01-31T09:00:00Z"
    publisher.take(state)
    assert publisher.pending(state) == publishing.LOOK_AGAIN
    publisher.start()
    async with asyncio.timeout(10):
        await sink.asked.wait()
        await asyncio.sleep(0)
        assert publisher.trouble() == {"fickle": "away"} and publisher.backlog() == {"fickle": 2}
        sink.odds = 0.0
        await publisher.settled()
    assert confirmed == [state]
    assert publisher.pending(state) is None and not publisher.trouble()
    await publisher.stop()


def test_without_a_sink_everybody_has_it() -> None:
    publisher, state = Publisher(), orchestration(tasks=2)
    publisher.take(state)
    assert len(publisher.confirmed(state["metadata"]["uid"])) == 2


def test_the_ledger_begins_where_it_was() -> None:
    ledger, _ = read(more(orchestration(tasks=3), 2))
    assert ledger == Ledger("aaaabbbbcccc-1", 5, 8, ledger.tasks) and len(ledger.tasks) == 2
