"""What holds for every problem: promises are kept, orders mean nothing, and the answer is the same every time."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.placement.check import check
from continuo.placement.heuristic import place
from continuo.placement.model import Problem
from continuo.placement.score import objectives
from placement.worlds import assignments, problems

EXAMPLES = settings(max_examples=60)


def key(problem: Problem, places: dict[str, str]) -> tuple[float, ...]:
    """How good places are: what is unplaced first, then what moved without need, then the objective."""
    moved = 0.0
    if not problem.improve:
        moved = sum(1 for part in problem.parts if part.current is not None and places.get(part.id) != part.current)
    return (len(problem.parts) - len(places), moved, objectives(problem, places).total)


def best(problem: Problem) -> tuple[float, ...]:
    return min(key(problem, places) for places in assignments(problem) if not check(problem, places))


@EXAMPLES
@given(problems())
def test_every_answer_keeps_every_promise(problem: Problem) -> None:
    answer = place(problem)
    assert check(problem, answer.places) == ()
    assert set(answer.places) | set(answer.unplaced) == {part.id for part in problem.parts}
    assert not set(answer.places) & set(answer.unplaced)
    assert all(answer.unplaced.values())
    assert answer.objective == objectives(problem, answer.places).total


@EXAMPLES
@given(problems(), st.integers(0, 99))
def test_orders_mean_nothing(problem: Problem, seed: int) -> None:
    rng = random.Random(seed)

    def shuffled(items: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(rng.sample(items, len(items)))

    other = msgspec.structs.replace(
        problem,
        sites=shuffled(problem.sites),
        parts=shuffled(problem.parts),
        paths=shuffled(problem.paths),
        budgets=shuffled(problem.budgets),
        talks=tuple(msgspec.structs.replace(talk, members=shuffled(talk.members)) for talk in shuffled(problem.talks)),
    )
    one, two = place(problem), place(other)
    assert (one.places, one.unplaced) == (two.places, two.unplaced)


@EXAMPLES
@given(problems(most_parts=1))
def test_one_part_gets_the_best_place_that_brute_force_finds(problem: Problem) -> None:
    found = key(problem, place(problem).places)
    wanted = best(problem)
    assert found[:2] == wanted[:2]
    assert found[2] <= wanted[2] + 1e-9


@settings(max_examples=60)
@given(problems(most_parts=4, most_sites=3))
def test_few_parts_are_placed_as_brute_force_would(problem: Problem) -> None:
    answer = place(problem)
    found, wanted = key(problem, answer.places), best(problem)
    assert found[:2] == wanted[:2], msgspec.json.encode(problem)
