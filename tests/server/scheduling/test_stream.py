"""The stream: deltas applied to a snapshot give the next one exactly, whenever a reader was cut off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.resources.meta import Object
from continuo.server.problems import Problem
from continuo.server.scheduler.items import COLLECTIONS, Items
from continuo.server.scheduler.log import StateLog, UnknownVersion
from continuo.server.scheduler.stream import Streams
from scheduling.bench import BEGAN, STATE, Bench, events, places, running, spec, status


@pytest.fixture
async def bench(anyio_backend: str) -> AsyncIterator[Bench]:
    async with running() as made:
        yield made


class Reader:
    """A client that keeps a copy of the state, and takes nothing on trust."""

    def __init__(self) -> None:
        self.state: Object = {}
        self.last: str | None = None
        self.versions: list[int] = []

    def take(self, identity: str, event: str, data: Object) -> None:
        assert identity == data["stateVersion"]
        number = int(identity.rpartition("-")[2])
        if event == "snapshot":
            assert not self.versions or number >= self.versions[-1]
            self.state = data
        else:
            assert event == "delta" and number == self.versions[-1] + 1, "none is missed, none comes twice"
            self._apply(data)
        self.last = identity
        self.versions.append(number)

    def _apply(self, delta: Object) -> None:
        for change in delta["changes"]:
            items = {item["id"]: item for item in self.state[change["collection"]]}
            if change["item"] is None:
                del items[change["id"]]
            else:
                items[change["id"]] = change["item"]
            self.state[change["collection"]] = [items[key] for key in sorted(items)]
        self.state |= {"stateVersion": delta["stateVersion"], "takenAt": delta["takenAt"]}


class Source:
    """What `Streams` reads, changed by hand."""

    def __init__(self, **bounds: int) -> None:
        self.log, self.closed, self.tick = StateLog("e", BEGAN, **bounds), False, asyncio.Event()

    def put(self, groups: dict[str, Items]) -> None:
        if self.log.put(groups, BEGAN + timedelta(seconds=self.log.version)):
            tick, self.tick = self.tick, asyncio.Event()
            tick.set()

    async def next_version(self, timeout: float) -> None:
        await self.tick.wait()


async def always() -> None:
    return None


GROUPS = st.dictionaries(
    st.sampled_from("abc"),
    st.dictionaries(
        st.tuples(st.sampled_from(COLLECTIONS[:2]), st.sampled_from(["1", "2", 'a "b"', "é/ü"])),
        st.fixed_dictionaries({"x": st.integers(0, 2), "y": st.sampled_from(["p", "q"])}),
        max_size=4,
    ),
    min_size=1, max_size=2,
)  # fmt: skip


def named(groups: dict[str, Items]) -> dict[str, Items]:
    """Each group has items of its own."""
    return {
        group: {(kind, group + name): {"id": group + name, **body} for (kind, name), body in items.items()}
        for group, items in groups.items()
    }


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(GROUPS, min_size=1, max_size=30),
    cuts=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    kept=st.integers(1, 8),
)
def test_a_reader_that_is_cut_off_at_random_never_misses_nor_doubles(
    changes: list[dict[str, Items]], cuts: list[int], kept: int
) -> None:
    asyncio.run(_follow(changes, cuts, kept))


async def _follow(changes: list[dict[str, Items]], cuts: list[int], kept: int) -> None:
    source, reader, shown = Source(entries=kept), Reader(), dict[str, Object]()
    streams, left = Streams(source), [named(groups) for groups in changes]  # type: ignore[arg-type]
    while left or reader.last != source.log.current:
        many = cuts[len(left) % len(cuts)]
        async with aclosing(streams.events(reader.last, always)) as stream:
            for _ in range(many):
                shown[source.log.current] = json.loads(source.log.snapshot())
                if reader.last == source.log.current and not left:
                    break
                if left and (many + len(left)) % 3:
                    source.put(left.pop())
                    shown[source.log.current] = json.loads(source.log.snapshot())
                if reader.last != source.log.current:
                    for each in parsed(await anext(stream)):
                        reader.take(*each)
                        assert reader.state == shown.get(reader.last or "", reader.state)
                elif left:
                    source.put(left.pop())
    assert reader.state == json.loads(source.log.snapshot())


def parsed(chunk: bytes) -> list[tuple[str, str, Object]]:
    found = []
    for event in chunk.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


def test_an_item_knows_since_when_each_of_its_fields_is_so() -> None:
    log = StateLog("e", BEGAN)
    key = ("clusters", "main/rose")
    log.put({"main": {key: {"id": "main/rose", "tier": "cloud", "phase": "Pending"}}}, BEGAN)
    log.put({"main": {key: {"id": "main/rose", "tier": "cloud", "phase": "Ready"}}}, BEGAN)
    assert log.changed(*key, ["tier"], 1) is None and log.changed(*key, ["tier", "phase"], 1) == "phase"
    assert not log.put({"main": {key: {"id": "main/rose", "tier": "cloud", "phase": "Ready"}}}, BEGAN), "no change"
    log.put({"main": {}}, BEGAN)
    log.put({"main": {key: {"id": "main/rose", "tier": "cloud", "phase": "Ready"}}}, BEGAN)
    assert log.changed(*key, ["tier"], 2) == "tier", "it is another one of the same name"


@pytest.mark.parametrize("text", ["", "e", "e-", "-1", "e-x", "e-1.5", "f-1", "e-99", "e-1" + "0" * 30, "é-1", "e-٣"])
def test_what_is_no_version_of_ours_is_told_apart(text: str) -> None:
    log = StateLog("e", BEGAN)
    log.put({"main": {("clusters", "a"): {"id": "a"}}}, BEGAN)
    with pytest.raises(UnknownVersion):
        log.read(text)


def test_the_log_is_bounded_in_bytes_too() -> None:
    log = StateLog("e", BEGAN, size=10_000)
    for number in range(100):
        log.put({"main": {("clusters", "a"): {"id": "a", "big": str(number) * 500}}}, BEGAN)
    assert len(log.after(log.oldest, 1000)) == log.version - log.oldest < 20


async def _never() -> None:
    raise Problem(401, "unauthenticated", "the bearer token is not valid here")


@pytest.mark.anyio
async def test_over_http_it_resumes_after_every_cut(bench: Bench) -> None:
    reader = Reader()
    for round_ in range(6):
        params = {"watch": "true"}
        headers = {"Authorization": "Bearer ai-token"} | ({"Last-Event-ID": reader.last} if reader.last else {})
        changed = spec()
        changed["apps"][0]["components"][1]["replicas"] = round_ + 1
        told = status()
        told["clusters"][0]["requested"] = {"cpu": str(round_)}
        async with (
            asyncio.timeout(10),
            bench.ai.session.get(bench.url + STATE, params=params, headers=headers) as response,
        ):
            assert response.status == 200 and response.headers["Content-Type"].startswith("text/event-stream")
            if round_ == 3:
                bench.parts.infrastructure.log.forget()
            await bench.declare(changed)
            await bench.say(told)

            def there(number: int = round_) -> bool:
                found: Any = {item["id"]: item for item in reader.state.get("workloads", [])}
                rose: Any = {item["id"]: item for item in reader.state.get("clusters", [])}
                return bool(
                    found
                    and found["main/shop/web"]["replicas"] == number + 1
                    and rose["main/rose"]["requested"]["cpuMillis"] == 1000 * number
                )

            async for each in events(response):
                reader.take(*each)
                if there():
                    break
    assert reader.state == await bench.state()


@pytest.mark.anyio
async def test_nothing_changed_is_304_and_a_change_is_not(bench: Bench) -> None:
    code, body, headers = await bench.ai.call("GET", STATE)
    assert headers["ETag"] == f'"{body["stateVersion"]}"' and headers["Age"] == "0"
    code, _, _ = await bench.ai.call("GET", STATE, headers={"If-None-Match": headers["ETag"]})
    assert code == 304
    code, same, _ = await bench.ai.call("GET", "/scheduler/v1/infrastructure")
    assert (code, same) == (200, body)
    await bench.adjust({"places": places(web="rose")})
    await bench.until(lambda state: len(state["pending"]) == 2)
    code, _, _ = await bench.ai.call("GET", STATE, headers={"If-None-Match": headers["ETag"]})
    assert code == 200


@pytest.mark.anyio
async def test_a_stream_ends_with_its_readers_token(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continuo.server.scheduler.stream.QUIET", 0.01)
    source = Source()
    stream = Streams(bench.parts.infrastructure).events(None, _never)
    first = parsed(await anext(stream))
    assert first[0][1] == "snapshot" and source.log.version == 0
    rest = [chunk async for chunk in stream]
    assert all(chunk == b": it lives\n\n" for chunk in rest)


@pytest.mark.anyio
async def test_an_orchestration_that_goes_takes_its_items_along(bench: Bench) -> None:
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

    await bench.declare(spec(), "other")
    state = await bench.until(lambda state: len(state["clusters"]) == 6)
    assert next(dc for dc in state["datacenters"] if dc["id"] == "milan")["clusters"] == ["main/rose", "other/rose"]
    await bench.cluster.delete(LOW_LEVEL_ORCHESTRATION, "main", "default")
    state = await bench.until(lambda state: len(state["clusters"]) == 3)
    assert {item["orchestration"] for item in state["workloads"]} == {"other"}
    assert next(dc for dc in state["datacenters"] if dc["id"] == "milan")["clusters"] == ["other/rose"]
