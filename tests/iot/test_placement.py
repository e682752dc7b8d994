"""Which boards of a fleet get a workload, and why: cases by name, then what always holds."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.iot.hub.placement import Candidate, Wish, distance, inside, place

MIB = 1 << 20
MESSINA, CATANIA, ROME, OSLO = (15.55, 38.19), (15.08, 37.50), (12.49, 41.90), (10.75, 59.91)


def at(name: str, where: tuple[float, float] | None = None, **more: Any) -> Candidate:
    return Candidate(name, at=where, **more)


def gone(name: str, seconds: float, **more: Any) -> Candidate:
    return Candidate(name, offline_for=seconds, **more)


@pytest.mark.parametrize(
    ("wish", "boards", "chosen", "missing"),
    [
        (Wish(), [at("a"), gone("b", 9e9)], "ab", 0),
        (
            Wish(labels={"area": "north"}),
            [at("a", labels={"area": "north"}), at("b", labels={"area": "south"})],
            "a",
            0,
        ),
        (Wish(replicas=0), [at("a", has=True)], "", 0),
        (Wish(replicas=1), [at("a"), at("b", has=True)], "b", 0),
        (Wish(replicas=3), [at("a"), at("b")], "ab", 1),
        (Wish(replicas=1, near=MESSINA), [at("o", OSLO), at("c", CATANIA), at("r", ROME), at("n")], "c", 0),
        (Wish(replicas=2, within=(8, 36, 19, 47)), [at("o", OSLO), at("c", CATANIA), at("n"), at("r", ROME)], "cr", 0),
        (Wish(replicas=1, memory=64 * MIB), [at("a", memory=63 * MIB), at("b", memory=64 * MIB)], "b", 0),
        (Wish(replicas=1, memory=64 * MIB), [at("a", memory=1, has=True), at("b", memory=64 * MIB)], "a", 0),
        (Wish(replicas=1, cpu=1.0), [at("a", cpu=0.5), at("b", cpu=1.5)], "b", 0),
        (Wish(replicas=1, cpu=1.0), [at("a")], "a", 0),
        (Wish(replicas=1, runtime="container"), [at("a", capabilities=frozenset({"process"}))], "", 1),
        (Wish(replicas=1), [gone("a", 299, has=True), at("b")], "a", 0),
        (Wish(replicas=1), [gone("a", 301, has=True), at("b")], "b", 0),
        (Wish(replicas=1), [gone("a", 301, has=True)], "a", 0),
        (Wish(replicas=1), [gone("a", 1)], "", 1),
        (Wish(replicas=1), [gone("a", 10, has=True), at("b", has=True)], "b", 0),
        (
            Wish(replicas=2, spread_by="room"),
            [at("a", labels={"room": "1"}), at("b", labels={"room": "1"}), at("c", labels={"room": "2"})],
            "ac",
            0,
        ),
        (
            Wish(replicas=2, spread_by="room"),
            [at("a", labels={"room": "1"}, has=True), at("b", labels={"room": "1"}), at("c", labels={"room": "2"})],
            "ac",
            0,
        ),
    ],
)
def test_cases(wish: Wish, boards: list[Candidate], chosen: str, missing: int) -> None:
    decision = place(wish, boards)
    assert (decision.boards, decision.missing) == (tuple(chosen), missing)


@pytest.mark.parametrize(
    ("wish", "board", "sentence"),
    [
        (Wish(labels={"area": "north"}), at("a"), "its label area is absent, not north"),
        (Wish(within=(0, 0, 1, 1)), at("a"), "nobody has said where it is, and the workload is for a part of the map"),
        (
            Wish(within=(0, 0, 1, 1)),
            at("a", ROME),
            "it is at 12.49 east, 41.9 north: not in the part of the map that is asked for",
        ),
        (
            Wish(runtime="container"),
            at("a", capabilities=frozenset({"process"})),
            "its agent runs no workloads of runtime container",
        ),
        (Wish(memory=64 * MIB), at("a", memory=MIB), "it has 1 MiB of memory free, and 64 MiB are needed"),
        (Wish(cpu=2), at("a", cpu=0.5), "it has 0.5 processors free, and 2 are needed"),
        (Wish(), at("a"), "it has it, as every board of the fleet that may"),
        (Wish(), gone("a", 5), "it is offline, and is told when it comes back"),
        (Wish(replicas=1, near=MESSINA), at("a", CATANIA), "it gets it, 87 km away"),
        (Wish(replicas=1), at("a", has=True), "it keeps it"),
        (Wish(replicas=0), at("a"), "0 replicas have their boards already"),
        (Wish(replicas=1), gone("a", 5, has=True), "it is offline for 5 s, and keeps it for 300 s"),
        (
            Wish(replicas=1),
            gone("a", 500, has=True),
            "it is offline for 500 s, longer than 300 s, but no other board can have it",
        ),
        (Wish(replicas=0), gone("a", 500, has=True), "it is offline for 500 s; another board has it"),
        (Wish(replicas=1), gone("a", math.inf), "it was never online, so it gets nothing new"),
    ],
)
def test_every_board_is_told_why(wish: Wish, board: Candidate, sentence: str) -> None:
    assert place(wish, [board]).why == {"a": sentence}


def test_distances_and_boxes() -> None:
    assert distance((0, 0), (0, 90)) == pytest.approx(math.pi * 6371 / 2)
    assert distance((0, 0), (180, 0)) == pytest.approx(math.pi * 6371)
    assert distance(OSLO, OSLO) == 0
    assert round(distance((179.5, 0), (-179.5, 0))) == 111
    assert inside((170, -50, -170, 0), (175, -20)) and inside((170, -50, -170, 0), (-175, -20))
    assert not inside((170, -50, -170, 0), (0, -20))


candidates = st.lists(
    st.builds(
        Candidate,
        board=st.uuids().map(str),
        labels=st.fixed_dictionaries({"room": st.sampled_from("123")}, optional={"area": st.sampled_from(["n", "s"])}),
        at=st.none() | st.tuples(st.floats(-180, 180), st.floats(-90, 90)),
        offline_for=st.none() | st.sampled_from([1.0, 299.0, 301.0, math.inf]),
        memory=st.none() | st.integers(0, 100),
        has=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda each: each.board,
)
wishes = st.builds(
    Wish,
    replicas=st.none() | st.integers(0, 8),
    labels=st.sampled_from([{}, {"area": "n"}]),
    near=st.none() | st.just(ROME),
    spread_by=st.sampled_from([None, "room"]),
    memory=st.none() | st.integers(0, 100),
)


@given(wishes, candidates, st.randoms())
def test_what_always_holds(wish: Wish, boards: list[Candidate], rng: random.Random) -> None:
    decision = place(wish, boards)
    assert set(decision.why) == {each.board for each in boards} and all(decision.why.values())
    assert set(decision.boards) <= {each.board for each in boards}
    if wish.replicas is not None:
        assert len(decision.boards) + decision.missing == wish.replicas
    shuffled = list(boards)
    rng.shuffle(shuffled)
    assert place(wish, shuffled) == decision
    told = [replace(each, has=each.board in decision.boards) for each in boards]
    again = place(wish, told)
    if wish.memory is None:  # who is dropped frees memory, of which the next report tells
        assert set(again.boards) == set(decision.boards)


@given(wishes, candidates)
def test_nobody_moves_without_need(wish: Wish, boards: list[Candidate]) -> None:
    decision = set(place(wish, boards).boards)
    fine = {
        each.board
        for each in boards
        if each.has
        and (each.offline_for is None or each.offline_for <= wish.grace)
        and wish.labels.items() <= each.labels.items()
    }
    most = len(boards) if wish.replicas is None else wish.replicas
    assert len(decision & fine) == min(len(fine), most)
    before = [replace(each, has=each.board in decision, offline_for=None) for each in boards]
    after = place(wish, [*before, Candidate("new", at=ROME, labels={"room": "9", "area": "n"}, memory=1000)])
    held = {each.board for each in before if each.has}
    assert held <= set(after.boards)


@given(wishes.filter(lambda wish: wish.replicas is not None), candidates)
def test_new_replicas_are_spread(wish: Wish, boards: list[Candidate]) -> None:
    fresh = [
        replace(each, has=False, offline_for=None, memory=None, labels={**each.labels, "area": "n"}) for each in boards
    ]
    spread = replace(wish, spread_by="room")
    decision = place(spread, fresh)
    there = {room: sum(each.labels["room"] == room for each in fresh) for room in "123"}
    taken = {
        room: sum(each.labels["room"] == room for each in fresh if each.board in decision.boards) for room in "123"
    }
    for room in "123":
        if taken[room] < there[room]:
            assert max(taken.values()) - taken[room] <= 1
