"""Placement at once: what runs stays, the rest by regret, then a bounded search."""

from __future__ import annotations

import numpy as np

from continuo.placement.compiled import Compiled
from continuo.placement.insertion import insert
from continuo.placement.model import Answer, Problem
from continuo.placement.score import objectives
from continuo.placement.search import LOYALTY, Search
from continuo.placement.state import State
from continuo.placement.tally import Tally
from continuo.placement.units import next_out
from continuo.placement.unplaced import sentences

MICROSECONDS = 250_000
"""What the search takes by default on an ordinary machine: it is given so many rounds."""
WAY = 60
"""Rounds for each unit that fits nowhere, in which others make way."""
TRIES = 8
"""How often what has to be together but cannot is taken apart by one part more."""


def place(problem: Problem) -> Answer:
    """Where the parts of a problem go; the same problem has the same answer. Needs numpy; raises nothing.

    A part that runs and is nonetheless `unplaced` keeps its bounds nowhere: whether it is left where it is, the asker knows.
    """
    dropped: frozenset[str] = frozenset()
    found: dict[str, str] = {}
    for turn in range(TRIES):
        state = _searched(problem, dropped)
        places = places_of(state)
        if turn == 0 or len(places) > len(found):
            found = places
        out = _misfits(state, everybody=turn == TRIES - 2)
        if not out:
            break
        dropped = dropped.union(state.compiled.dropped, out)
    return answer(problem, found)


def answer(problem: Problem, places: dict[str, str]) -> Answer:
    """An answer of places, with what it is worth and why the others have none."""
    tally = Tally(problem, places)
    unplaced = [part.id for part in problem.parts if part.id not in places]
    found = objectives(problem, places)
    return Answer(
        places=dict(sorted(places.items())),
        unplaced=sentences(tally, unplaced),
        objective=found.total,
        objectives=found,
    )


def places_of(state: State) -> dict[str, str]:
    """Site by part: what stays, and what was placed."""
    places = dict(state.compiled.staying)
    for unit, site in enumerate(state.place):
        if site >= 0:
            places.update(dict.fromkeys(state.units[unit].members, state.compiled.terrain.names[site]))
    return places


def default_rounds(free: int, sites: int) -> int:
    """How many rounds a search has: thirty for each unit, within what they take."""
    return int(min(30 * free, MICROSECONDS / (250 + sites)))


def _searched(problem: Problem, dropped: frozenset[str]) -> State:
    compiled = Compiled(problem, dropped)
    state = State(compiled)
    settled = _settle(state)
    everything = range(len(state.units))
    absent, _ = insert(state, [unit for unit in everything if state.place[unit] < 0])
    search = Search(state, absent, problem.seed)
    search.make_way(min(WAY * len(absent), default_rounds(len(state.units), compiled.terrain.count)))
    free = [unit for unit in everything if problem.improve or unit not in settled or _left(state, unit)]
    rounds = default_rounds(len(free), compiled.terrain.count) if problem.rounds is None else problem.rounds
    search.improve(free, rounds)
    return state


def _left(state: State, unit: int) -> bool:
    return state.place[unit] != state.units[unit].current


def _misfits(state: State, *, everybody: bool) -> list[str]:
    """Parts that fall out of units which fit nowhere as a whole."""
    whole = [
        unit.members for number, unit in enumerate(state.units) if state.place[number] < 0 and len(unit.members) > 1
    ]
    if everybody:
        return [part for members in whole for part in members if state.compiled.parts[part].current is None]
    compiled = state.compiled
    first = (next_out(compiled.parts, members, compiled.possible) for members in whole)
    return [part for part in first if part is not None]


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
