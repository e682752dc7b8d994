"""What was computed of the same things is computed once, and anew as soon as any of them is another one."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.orchestrator.act import Attempts
from continuo.orchestrator.caches import CachedCluster
from continuo.orchestrator.memo import Memory
from continuo.orchestrator.observe import Snapshot, laid_over
from continuo.orchestrator.placing import asking as placing_asking
from continuo.orchestrator.placing import choose as choosing
from continuo.orchestrator.placing.asking import Placing
from continuo.orchestrator.remembered import Remembered
from continuo.placement.model import Problem
from continuo.placement.pool import Pool
from continuo.resources.meta import key_of
from continuo.resources.orchestration import decode
from orchestrator.placing.grounds import NOON, Ground, asking
from orchestrator.worlds import app, cluster

from .test_kept import KEY, Api, decision, desk

pytestmark = pytest.mark.anyio
ASKS = st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 2), max_size=2)), max_size=30)


@given(asks=ASKS)
def test_the_answer_is_that_of_asking_anew_and_the_last_alone_is_kept(asks: list[tuple[str, list[int]]]) -> None:
    remembered, last, computed = Remembered[int](), dict[str, list[int]](), list[int]()

    def counted(numbers: list[int]) -> int:
        computed.append(sum(numbers))
        return sum(numbers)

    for name, numbers in asks:
        before = len(computed)
        found = remembered.of(name, tuple(numbers), partial(counted, numbers))
        assert found == sum(numbers)
        assert (len(computed) == before) == (last.get(name) == numbers)
        last[name] = numbers
        assert len(remembered) == len(last)
    remembered.keep_only({"a"})
    assert len(remembered) == ("a" in last)
    remembered.forget("a")
    assert len(remembered) == 0


def test_what_cannot_be_computed_is_tried_again() -> None:
    remembered: Remembered[float] = Remembered()
    with pytest.raises(ZeroDivisionError):
        remembered.of("a", (0,), lambda: 1 / 0)
    assert remembered.of("a", (0,), lambda: 2.0) == 2.0


def test_a_decision_is_read_once_for_each_version_and_forgotten_with_its_object() -> None:
    first, second = decision(1, NOON), decision(2, NOON)
    made = desk(Api(), first, second)
    one, two = made.decisions(KEY)
    assert [each is known for each, known in zip(made.decisions(KEY), (one, two), strict=True)] == [True, True]
    cache = made._decisions.cache
    cache.put(key_of(first), {**first, "status": {**first["status"], "stage": "Superseded"}})
    cache.drop(key_of(second))
    (again,) = made.decisions(KEY)
    assert again is not one and str(again.stage) == "Superseded"
    assert len(made._made[KEY]) == 1, "what went is not kept"
    made.drop(KEY)
    assert not made._made


def test_what_is_carried_out_is_laid_once_and_anew_after_each_change() -> None:
    ground = placed()
    memory, declared = Memory(Attempts(1.0, 2.0)), decode(ground.object)

    def caches() -> CachedCluster:
        return CachedCluster(ground.management.caches)

    first = memory.laid(declared, caches())
    again = memory.laid(decode({**ground.object, "status": {}}), caches())
    assert again.orchestration.spec is first.orchestration.spec and again.base is first.base
    assert again.orchestration.status != first.orchestration.status
    assert first == laid_over(declared, caches())
    ground.lay(places=[{"component": "shop/a", "cluster": "rose"}])
    second = memory.laid(declared, caches())
    assert second == laid_over(declared, caches()) and second.orchestration != first.orchestration
    other = decode({**ground.object, "spec": {**ground.object["spec"], "paused": True}})
    assert memory.laid(other, caches()) == laid_over(other, caches())


def test_a_declaration_keeps_its_form_while_only_its_status_changes() -> None:
    obj, memory = placed().object, Memory(Attempts(1.0, 2.0))
    first = memory.decoded(obj, decode)
    told = {**obj, "status": {"observedGeneration": 7}}
    again = memory.decoded(told, decode)
    assert again == decode(told) and again.spec is first.spec and again.status != first.status
    other = {**obj, "spec": {**obj["spec"], "paused": True}}
    assert memory.decoded(other, decode) == decode(other)


def placed() -> Ground:
    parts = [asking(name, "100m", placement={}) for name in ("a", "b")]
    clusters = [cluster(name, packages=["liqo"]) for name in ("green", "rose")]
    found = Ground({"clusters": clusters, "apps": [app("shop", "green", *parts)]})
    found.up()
    found.lay(places=[{"component": f"shop/{name}", "cluster": "green"} for name in ("a", "b")])
    return found


async def test_what_is_open_is_looked_for_once_and_anew_when_room_or_places_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def counted(snapshot: Snapshot, problem: Problem) -> choosing.Open:
        asked.append(problem)
        return choosing.open_parts(snapshot, problem)

    monkeypatch.setattr(placing_asking, "open_parts", counted)
    ground, placing = placed(), Placing(Pool(1, inline=1e9))

    async def choose() -> Any:
        choice = await placing.choose(*ground.picture(), ground.settings, NOON + timedelta(hours=1), {}, ground.picture)
        assert choice == ground.choose(), "remembered or not, it is the same"
        return choice

    assert (await choose()).decision is None and (await choose()).decision is None
    assert len(asked) == 1
    ground.busy["green"] = 7.9
    assert (await choose()).decision is not None, "it is too full now"
    assert len(asked) == 2
    ground.busy.clear()
    assert (await choose()).decision is None
    ground.lay(places=[{"component": "shop/a", "cluster": "rose"}])
    assert (await choose()).decision is not None, "b has no place any more"
    assert len(asked) == 4
    placing.forget(("default", "o"))
    assert not len(placing._wholes) and not len(placing._open)
    await placing.close()
