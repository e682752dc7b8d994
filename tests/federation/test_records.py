"""Records in between: after everything that somebody waits for, but never for ever."""

from __future__ import annotations

import asyncio

import pytest

from continuo.federation.reflection import pods
from continuo.federation.reflection.decisions import Decisions
from continuo.federation.reflection.records import CALM, Calm, Records
from continuo.federation.reflection.twin import Twin
from continuo.resources import kinds
from continuo.resources.meta import Key, Object

pytestmark = pytest.mark.anyio

KEY = ("shop", "web")


class Written:
    """Remembers what was written, and tells when there is enough."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.some = asyncio.Event()

    async def __call__(self, key: Key) -> None:
        self.keys.append(key)
        self.some.set()


async def test_a_record_waits_while_somebody_waits_for_something_else() -> None:
    written, calm = Written(), Calm()
    records = Records("records", calm, written)
    records.start()
    with calm:
        for _ in range(3):
            records.add(KEY)
        await asyncio.sleep(3 * CALM)
        assert written.keys == []
    await asyncio.wait_for(written.some.wait(), 10)
    assert written.keys == [KEY], "three changes are one record"
    await records.stop()
    assert len(records) == 0


async def test_a_load_that_never_ends_keeps_no_record_for_ever() -> None:
    written, calm = Written(), Calm()
    records = Records("records", calm, written, latest=0.1)
    records.start()
    with calm:
        records.add(KEY)
        await asyncio.wait_for(written.some.wait(), 10)
    assert written.keys == [KEY]
    await records.stop()


async def test_stopping_waits_for_no_record_and_writes_none() -> None:
    written, calm = Written(), Calm()
    records = Records("records", calm, written)
    records.start()
    with calm:
        records.add(KEY)
        await asyncio.sleep(0)
        await asyncio.wait_for(records.stop(), 5)
    assert written.keys == []


def test_calm_comes_only_after_the_last_of_several() -> None:
    async def scene() -> None:
        calm, loop = Calm(), asyncio.get_running_loop()
        assert calm.in_seconds(loop.time()) <= 0, "nothing has been under way yet"
        with calm:
            with calm:
                pass
            assert calm.in_seconds(loop.time() + 100) == CALM
        now = loop.time()
        assert 0 < calm.in_seconds(now) <= CALM
        assert calm.in_seconds(now + CALM) <= 0

    asyncio.run(scene())


def _pod(name: str, **status: str) -> Object:
    return kinds.POD.new(name, "shop", metadata={"uid": "u1"}, spec={"nodeName": "far"}, status=status)


def test_the_same_objects_are_decided_about_once_and_nothing_is_kept_of_what_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    decide = pods.decide
    monkeypatch.setattr(pods, "decide", lambda *given: (asked.append(given), decide(*given))[1])
    twin, decisions, pod = Twin("far", "home", "remote", frozenset({"shop"})), Decisions(), _pod("web")
    first = decisions.of(twin, KEY, pod, None)
    assert isinstance(first.step, pods.Send)
    assert decisions.of(twin, KEY, pod, None) is first
    assert len(asked) == 1
    copy = pods.copy_of(twin, pod) | {"status": {"phase": "Running", "reason": "Started"}}
    news = decisions.of(twin, KEY, pod, copy)
    assert isinstance(news.step, pods.Tell)
    assert news.told is decisions.of(twin, KEY, pod, copy).told
    assert news.told["status"]["phase"] == "Running"
    other = Twin("far", "home", "remote", frozenset())
    assert isinstance(decisions.of(other, KEY, pod, copy).step, pods.Recall), "who decides differently decides anew"
    assert decisions.of(twin, KEY, None, None).step is None
    assert len(decisions) == 0
