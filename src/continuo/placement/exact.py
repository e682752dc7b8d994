"""Answers with a deadline: the heuristic's at once, and a better one where a solver or a longer search finds it.

The exact solver (CP-SAT of OR-Tools) is asked when it pays:
- `exact_within` gives it time,
- the heuristic's answer may be more than half a percent above the best, leaves something unplaced, or moved what ran well,
- the problem is small enough for it to get anywhere: at most 1,000 choices of a site for a part, and 20,000 pairs of
  choices that cost or forbid something together. Beyond, its first answer in that time is worse than the heuristic's.
A larger problem is given to a longer search of the heuristic, which is counted in rounds: the same answer each time.

Either runs in a child process that is killed when its time is over. What it says is checked, and used only if it is better.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import msgspec

from continuo.placement import exactly
from continuo.placement.check import check
from continuo.placement.compiled import Compiled
from continuo.placement.heuristic import answer as answered
from continuo.placement.heuristic import place
from continuo.placement.model import Answer, Method, Problem, moved
from continuo.placement.replay import pack

log = logging.getLogger(__name__)

MOST_CHOICES, MOST_PAIRS = 1_000, 20_000
NEAR = 0.005
"""How far above a bound is as good as the best."""
ROUNDS_PER_SECOND = 2_000
"""Of a longer search."""
START = 15.0
"""Seconds that a child may take to start: the solver's library is large."""


class Failed(Exception):
    """A child did not answer; the sentence says why."""


async def solve(problem: Problem, *, python: str = sys.executable, options: tuple[str, ...] = ()) -> Answer:
    """The best answer within `exact_within` seconds (and what children take to start); never worse than the heuristic's.

    `python` is the interpreter that has OR-Tools, `options` its own. What hinders the solver is said in the answer's `note`.
    """
    first = await asyncio.to_thread(place, problem)
    if problem.exact_within <= 0:
        return first
    compiled = await asyncio.to_thread(Compiled, problem)
    gap = expected_gap(compiled, first)
    if gap <= NEAR and not first.unplaced and (problem.improve or not moved(problem, first)):
        note = f"no solver was asked: the heuristic's answer is within {max(0.0, gap):.2%} of the best"
        return msgspec.structs.replace(first, note=note, gap=max(0.0, gap))
    choices, pairs = exactly.size(compiled)
    try:
        if choices > MOST_CHOICES or pairs > MOST_PAIRS:
            return await _longer(
                problem, first, f"{choices} choices and {pairs} pairs of them are too many to solve exactly"
            )
        return await _exact(problem, compiled, first, [python, *options])
    except Failed as failure:
        log.warning("exact placement: %s", failure)
        return msgspec.structs.replace(first, note=str(failure))


def expected_gap(compiled: Compiled, answer: Answer) -> float:
    """How far above the best an answer may be, as a share of itself: as if every part had its best site for itself."""
    above = exactly.cost_of(compiled, answer.places) - exactly.floor_of(compiled)
    return above / answer.objective if answer.objective > 0 else 0.0


async def _exact(problem: Problem, compiled: Compiled, first: Answer, python: list[str]) -> Answer:
    asked = exactly.said(compiled, first, problem.exact_within)
    command = [*python, "-P", str(Path(__file__).with_name("solver.py"))]
    said = _json(await _child(command, msgspec.json.encode(asked), problem.exact_within + START), dict)
    if "error" in said:
        raise Failed(f"the heuristic's answer is used: {said['error']}; install continuo[solver]")
    if "places" not in said:
        raise Failed(
            f"the heuristic's answer is used: the solver found none in {problem.exact_within:g} s ({said['status']})"
        )
    places = dict(compiled.staying)
    for unit, site in zip(compiled.units, said["places"], strict=True):
        if site is not None:
            places.update(dict.fromkeys(unit.members, compiled.terrain.names[site]))
    wrong, found = check(problem, places), first
    if not wrong:
        other = msgspec.structs.replace(answered(problem, places), method=Method.EXACT)
        found = min((first, other), key=lambda each: _rank(problem, each))
    note = "the solver's answer breaks what it cannot express; the heuristic's is used" if wrong else ""
    return _bounded(compiled, found, said, asked["loyal"], note)


def _bounded(compiled: Compiled, found: Answer, said: dict[str, float], loyal: float, note: str) -> Answer:
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


def _rank(problem: Problem, answer: Answer) -> tuple[float, ...]:
    """Fewer unplaced, fewer moved where nothing moves for its own sake, cheaper; by less than a millionth is not cheaper."""
    return len(answer.unplaced), 0 if problem.improve else len(moved(problem, answer)), round(answer.objective, 6)


async def _longer(problem: Problem, first: Answer, why: str) -> Answer:
    rounds = int(ROUNDS_PER_SECOND * problem.exact_within)
    asked = msgspec.structs.replace(problem, rounds=rounds)
    command = [sys.executable, "-m", "continuo.placement.longer"]
    said = await _child(command, pack(asked).encode(), 4 * problem.exact_within + START)
    longer: Answer = _json(said, Answer)
    found = min((first, longer), key=lambda each: _rank(problem, each))
    return msgspec.structs.replace(found, note=f"{why}; the heuristic searched for {rounds} rounds instead")


def _json(said: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(said, type=kind)
    except msgspec.DecodeError as error:
        raise Failed(f"the heuristic's answer is used: the solver's is no answer: {error}") from error


async def _child(command: list[str], text: bytes, seconds: float) -> bytes:
    """What a child writes; it is killed when it takes too long, or when who waits for it goes away."""
    pipe = asyncio.subprocess.PIPE
    try:
        child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise Failed(f"the heuristic's answer is used: cannot start {command[0]}: {error.strerror}") from error
    try:
        async with asyncio.timeout(seconds):
            out, complaint = await child.communicate(text)
    except TimeoutError:
        raise Failed(f"the heuristic's answer is used: {command[-1]} did not end within {seconds:g} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if not out:
        last = complaint.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise Failed(f"the heuristic's answer is used: {command[-1]} ended with code {child.returncode}: {last[-300:]}")
    return out
