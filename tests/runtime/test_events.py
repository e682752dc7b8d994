from __future__ import annotations

import asyncio
import random

from runtime_double import Double, run, widget

from continuo.resources.errors import Forbidden
from continuo.resources.kinds import EVENT
from continuo.resources.meta import Object
from continuo.runtime.events import EventRecorder


def recorder(cluster: Double, **settings: float) -> EventRecorder:
    made = EventRecorder(
        cluster,
        "continuo.dev/operator",
        "operator-1",
        rng=random.Random(1),
        now=lambda: asyncio.get_running_loop().time(),
        **settings,  # type: ignore[arg-type]
    )
    made.start()
    return made


async def events(cluster: Double) -> list[Object]:
    cluster.refuse = None
    return (await cluster.list(EVENT)).items


def test_an_event_names_the_object_and_who_reports() -> None:
    async def main() -> None:
        cluster = Double()
        events_of = recorder(cluster)
        obj = cluster.put(widget("a", "shop", metadata={"uid": "u-1"}))
        events_of.record(obj, "Warning", "Unplaced", "no cluster has 4 CPUs free", action="Place")
        await asyncio.sleep(1)
        [event] = await events(cluster)
        assert event["metadata"]["namespace"] == "shop"
        assert event["metadata"]["name"].startswith("a.")
        assert event["regarding"]["uid"] == "u-1"
        assert (event["type"], event["reason"], event["action"]) == ("Warning", "Unplaced", "Place")
        assert event["reportingController"] == "continuo.dev/operator"
        assert "series" not in event
        await events_of.stop()

    run(main())


def test_the_same_within_ten_minutes_is_counted() -> None:
    async def main() -> None:
        cluster = Double()
        events_of = recorder(cluster)
        for _ in range(5):
            events_of.record(widget("a"), "Normal", "Placed", "on green")
            await asyncio.sleep(60)
        events_of.record(widget("a"), "Normal", "Placed", "on rose")
        await asyncio.sleep(1)
        found = {event["note"]: event for event in await events(cluster)}
        assert found["on green"]["series"]["count"] == 5
        assert "series" not in found["on rose"]
        await asyncio.sleep(700)
        events_of.record(widget("a"), "Normal", "Placed", "on green")
        await asyncio.sleep(1)
        assert len(await events(cluster)) == 3
        await events_of.stop()

    run(main())


def test_a_burst_is_written_slowly_and_counted_together() -> None:
    async def main() -> None:
        cluster = Double()
        events_of = recorder(cluster, per_second=1.0, burst=5)
        for number in range(10):
            for _ in range(100):
                events_of.record(widget(f"w{number}"), "Normal", "Placed", "on green")
        await asyncio.sleep(2)
        assert 5 <= cluster.requests["create"] < 10
        await asyncio.sleep(30)
        assert cluster.requests["create"] == 10
        assert cluster.requests["patch"] == 0
        assert {event["series"]["count"] for event in await events(cluster)} == {100}
        await events_of.stop()

    run(main())


def test_a_refused_event_breaks_nothing() -> None:
    async def main() -> None:
        cluster = Double()
        events_of = recorder(cluster)
        cluster.refuse = Forbidden("events are forbidden")
        events_of.record(widget("a"), "Normal", "Placed", "on green")
        await asyncio.sleep(1)
        cluster.refuse = None
        events_of.record(widget("b"), "Normal", "Placed", "on green")
        await asyncio.sleep(1)
        assert [event["regarding"]["name"] for event in await events(cluster)] == ["b"]
        assert (events_of.dropped, events_of.written) == (1, 1)
        await events_of.stop()

    run(main())


def test_stopping_writes_what_waits() -> None:
    async def main() -> None:
        cluster = Double()
        events_of = recorder(cluster, per_second=0.1, burst=1)
        for number in range(20):
            events_of.record(widget(f"w{number}"), "Normal", "Placed", "on green")
        await events_of.stop()
        assert len(await events(cluster)) == 20

    run(main())


def test_the_recorder_remembers_a_bounded_number() -> None:
    async def main() -> None:
        cluster = Double()
        events_of = EventRecorder(cluster, "continuo", "i")
        for number in range(events_of.REMEMBERED + 10):
            events_of.record(widget(f"w{number}"), "Normal", "Placed", "on green")
        assert events_of.dropped == 10
        await events_of.stop(grace=1000)
        assert events_of.written == events_of.REMEMBERED

    run(main())


def test_a_long_note_is_cut() -> None:
    async def main() -> None:
        cluster = Double()
        events_of = recorder(cluster)
        events_of.record(widget("a"), "Normal", "Placed", "x" * 5000)
        await asyncio.sleep(1)
        [event] = await events(cluster)
        assert len(event["note"]) == 1024
        await events_of.stop()

    run(main())
