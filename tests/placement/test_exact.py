"""The exact solver: never worse than the heuristic, as good as brute force, and a sentence where it cannot be asked."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import msgspec
import pytest

from continuo.placement import exact, longer
from continuo.placement.check import check
from continuo.placement.heuristic import place
from continuo.placement.model import Answer, Method, Problem, Talk
from continuo.placement.score import objectives
from placement.worlds import assignments, crowded, part, problem, site

TIGHT = crowded(9, 4, 8, seed=3)


def solved(asked: Problem, **fields: object) -> Answer:
    return asyncio.run(exact.solve(asked, **fields))  # type: ignore[arg-type]


needs_solver = pytest.mark.skipif(importlib.util.find_spec("ortools") is None, reason="OR-Tools is not installed")


@needs_solver
def test_the_solver_is_never_worse_and_says_how_far_it_may_be_from_the_best() -> None:
    asked = msgspec.structs.replace(TIGHT, exact_within=20, rounds=0)
    first, found = place(asked), solved(asked)
    assert (len(found.unplaced), found.objective) <= (len(first.unplaced), first.objective)
    assert check(asked, found.places) == ()
    assert found.bound is not None and found.gap is not None
    assert found.bound <= found.objective
    assert found.method is Method.EXACT
    assert found == solved(asked)


@needs_solver
def test_the_solver_finds_what_brute_force_finds() -> None:
    sites = [site("a", 4, cost_cpu=1), site("b", 4, cost_cpu=2), site("c", 4, cost_cpu=3)]
    asked = problem(sites, [part(f"p{n}", cpu) for n, cpu in enumerate((3, 2, 2, 1, 3))], exact_within=20.0, rounds=0)
    wanted = min(
        objectives(asked, each).total for each in assignments(asked) if len(each) == 5 and not check(asked, each)
    )
    found = solved(asked)
    assert found.objective == pytest.approx(wanted)
    assert found.bound is not None and found.bound <= wanted + 1e-6


def test_no_solver_is_asked_where_the_answer_is_the_best_anyway() -> None:
    asked = problem([site("a", 8, cost_cpu=1), site("b", 8, cost_cpu=2)], [part("p")], exact_within=5.0)
    found = solved(asked, python="/nowhere/python")
    assert found.method is Method.HEURISTIC
    assert found.note == "no solver was asked: the heuristic's answer is within 0.00% of the best"


def test_what_is_too_large_to_solve_is_searched_for_longer() -> None:
    asked = msgspec.structs.replace(crowded(60, 30, 40, seed=1), exact_within=0.2)
    found = solved(asked, python="/nowhere/python")
    assert "are too many to solve exactly; the heuristic searched for 400 rounds instead" in found.note
    assert check(asked, found.places) == ()


def test_a_longer_search_is_the_best_of_several_from_seeds_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longer, "ROUNDS", 100)
    asked = msgspec.structs.replace(crowded(24, 12, 20, seed=3), rounds=720, seed=5)
    each = [place(msgspec.structs.replace(asked, rounds=240, seed=seed)).objective for seed in (5, 6, 7)]
    assert longer.longer(asked).objective == min(each)
    assert longer.longer(asked) == longer.longer(asked)


def test_a_search_of_few_rounds_is_one() -> None:
    asked = msgspec.structs.replace(crowded(24, 12, 20, seed=3), rounds=300)
    assert longer.longer(asked) == place(asked)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.stdin.read(); raise SystemExit('no such luck')", "ended with code 1: no such luck"),
        ("import time; time.sleep(600)", "did not end within 0.4 s"),
        ("import sys; sys.stdin.read(); print('no JSON')", "JSON is malformed"),
    ],
)
def test_a_solver_that_fails_is_told_and_the_heuristic_answers(
    program: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\nexec {__import__("sys").executable} -c "{program}"\n')
    fake.chmod(0o755)
    monkeypatch.setattr(exact, "START", 0.2)
    asked = msgspec.structs.replace(TIGHT, exact_within=0.2)
    found = solved(asked, python=str(fake))
    assert said in found.note
    assert found.places == place(asked).places


def test_without_or_tools_a_sentence_says_what_to_install() -> None:
    asked = msgspec.structs.replace(TIGHT, exact_within=1.0)
    found = solved(asked, python=sys.executable, options=("-S",))
    assert "install continuo[solver]" in found.note


def test_a_missing_interpreter_is_told() -> None:
    found = solved(msgspec.structs.replace(TIGHT, exact_within=1.0), python="/nowhere/python")
    assert "cannot start /nowhere/python" in found.note


@needs_solver
def test_bounds_that_forbid_being_apart_are_kept() -> None:
    sites = [site(name, 4, cost_cpu=price) for name, price in (("a", 1), ("b", 2), ("c", 1.5))]
    asked = problem(
        sites,
        [part("p0", 3), part("p1", 3), part("p2", 1)],
        talks=(Talk(name="t", members=("p0", "p2"), latency_ms=1.0),),
        exact_within=20.0,
        rounds=0,
    )
    found = solved(asked)
    assert found.places["p0"] == found.places["p2"]
    assert check(asked, found.places) == ()
