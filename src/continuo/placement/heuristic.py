"""Placement at once: what runs stays, the rest by regret, then a bounded search."""

from __future__ import annotations

import numpy as np

from continuo.placement.compiled import Compiled
from continuo.placement.insertion import insert
from continuo.placement.model import Answer, Problem
from continuo.placement.score import objectives
from continuo.placement.search import LOYALTY, Search
from continuo.placement.state import State

MICROSECONDS = 250_000
"""What the search may take by default, by rounds of about this many on an ordinary machine."""


def place(problem: Problem) -> Answer:
    """Where the parts of a problem go; the same problem has the same answer. Needs numpy; raises nothing."""
    compiled = Compiled(problem)
    state = State(compiled)
    settled = _settle(state)
    waiting = [unit for unit in range(len(state.units)) if state.place[unit] < 0]
    absent, _ = insert(state, waiting)
    search = Search(state, absent, problem.seed)
    free = [unit for unit in range(len(state.units)) if problem.improve or unit not in settled]
    rounds = default_rounds(len(free), compiled.terrain.count) if problem.rounds is None else problem.rounds
    search.improve(free, rounds)
    places = dict(compiled.staying)
    for unit, site in enumerate(state.place):
        if site >= 0:
            places.update(dict.fromkeys(state.units[unit].members, compiled.terrain.names[site]))
    found = objectives(problem, places)
    return Answer(places=dict(sorted(places.items())), objective=found.total, objectives=found)


def default_rounds(free: int, sites: int) -> int:
    """How many rounds a search has: thirty for each unit, within what they take."""
    return int(min(30 * free, MICROSECONDS / (8 * (15 + 0.035 * sites))))


def _settle(state: State) -> set[int]:
    """Leave everything where it runs and may be; what loses its place is as little as possible."""
    if not state.compiled.problem.improve:
        for unit in state.units:
            if unit.current >= 0:
                unit.base[unit.current] -= LOYALTY
    here = [number for number, unit in enumerate(state.units) if unit.current >= 0]
    settled = set()
    for number in sorted(here, key=lambda number: (state.units[number].room, number)):
        row = state.row(number)
        if np.isfinite(row[state.units[number].current]):
            state.put(number, state.units[number].current)
            settled.add(number)
    return settled
