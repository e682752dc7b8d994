"""What comes before and after the exact solver: what it is asked, and what becomes of its answer. Pure; loads numpy."""

from __future__ import annotations

from typing import Any

import msgspec

from continuo.placement import exactly
from continuo.placement.check import check
from continuo.placement.compiled import Compiled
from continuo.placement.heuristic import answer as answered
from continuo.placement.heuristic import place
from continuo.placement.jobs import Prepared
from continuo.placement.model import Answer, Method, Problem
from continuo.placement.worth import near, rank, too_many


def prepared(problem: Problem) -> Prepared:
    """The heuristic's answer, and what an exact solver is to be asked."""
    first = place(problem)
    if problem.exact_within <= 0:
        return Prepared(first=first)
    compiled = Compiled(problem)
    gap, (choices, pairs) = expected_gap(compiled, first), exactly.size(compiled)
    if near(problem, first, gap) or too_many(choices, pairs):
        return Prepared(first=first, gap=gap, choices=choices, pairs=pairs)
    asked = exactly.said(compiled, first, problem.exact_within)
    return Prepared(first=first, gap=gap, choices=choices, pairs=pairs, asked=asked)


def expected_gap(compiled: Compiled, answer: Answer) -> float:
    """How far above the best an answer may be, as a share of itself: as if every part had its best site for itself."""
    above = exactly.cost_of(compiled, answer.places) - exactly.floor_of(compiled)
    return above / answer.objective if answer.objective > 0 else 0.0


def finished(problem: Problem, first: Answer, said: dict[str, Any], loyal: float) -> Answer:
    """The better one of two answers, with the solver's bound."""
    compiled = Compiled(problem)
    places = dict(compiled.staying)
    for unit, site in zip(compiled.units, said["places"], strict=True):
        if site is not None:
            places.update(dict.fromkeys(unit.members, compiled.terrain.names[site]))
    wrong, found = check(problem, places), first
    if not wrong:
        other = msgspec.structs.replace(answered(problem, places), method=Method.EXACT)
        found = min((first, other), key=lambda each: rank(problem, each))
    note = "the solver's answer breaks what it cannot express; the heuristic's is used" if wrong else ""
    return _bounded(compiled, found, said, loyal, note)


def _bounded(compiled: Compiled, found: Answer, said: dict[str, Any], loyal: float, note: str) -> Answer:
    """The answer with the solver's bound, which speaks of answers that place all and move as many."""
    if found.unplaced:
        return msgspec.structs.replace(found, note=note)
    left = sum(
        1
        for unit in compiled.units
        if unit.current >= 0 and found.places[unit.members[0]] != compiled.terrain.names[unit.current]
    )
    least = max((said["bound"] - loyal * left) / exactly.SCALE, exactly.floor_of(compiled))
    bound = min(found.objective, found.objective - exactly.cost_of(compiled, found.places) + least)
    gap = (found.objective - bound) / found.objective if found.objective > 0 else 0.0
    return msgspec.structs.replace(found, bound=bound, gap=gap, note=note)
