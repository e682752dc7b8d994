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

from continuo.placement.jobs import Finish, Prepare, Prepared
from continuo.placement.model import Answer, Problem
from continuo.placement.pool import Pool, done
from continuo.placement.replay import pack
from continuo.placement.worth import near, rank, too_many

log = logging.getLogger(__name__)

ROUNDS_PER_SECOND = 2_000
"""Of a longer search."""
START = 15.0
"""Seconds that a child may take to start: the solver's library is large."""


class Failed(Exception):
    """A child did not answer; the sentence says why."""


async def solve(
    problem: Problem, *, python: str = sys.executable, options: tuple[str, ...] = (), pool: Pool | None = None
) -> Answer:
    """The best answer within `exact_within` seconds (and what children take to start); never worse than the heuristic's.

    `python` is the interpreter that has OR-Tools, `options` its own. What hinders the solver is said in the answer's `note`.
    With a `pool` nothing of it holds up the event loop; without one it is counted in a thread.
    """
    begun: Prepared = await done(Prepare(problem), pool)
    first, gap = begun.first, max(0.0, begun.gap)
    if problem.exact_within <= 0:
        return first
    if near(problem, first, begun.gap):
        note = f"no solver was asked: the heuristic's answer is within {gap:.2%} of the best"
        return msgspec.structs.replace(first, note=note, gap=gap)
    try:
        if too_many(begun.choices, begun.pairs):
            return await _longer(
                problem, first, f"{begun.choices} choices and {begun.pairs} pairs of them are too many to solve exactly"
            )
        said = await _solved(problem, begun.asked, [python, *options])
        answer: Answer = await done(Finish(problem, first, said, begun.asked["loyal"]), pool)
        return answer
    except Failed as failure:
        log.warning("exact placement: %s", failure)
        return msgspec.structs.replace(first, note=str(failure))


async def _solved(problem: Problem, asked: Any, python: list[str]) -> dict[str, Any]:
    """What the solver says; it has places."""
    command = [*python, "-P", str(Path(__file__).with_name("solver.py"))]
    said: dict[str, Any] = _json(await _child(command, msgspec.json.encode(asked), problem.exact_within + START), dict)
    if "error" in said:
        raise Failed(f"the heuristic's answer is used: {said['error']}; install continuo[solver]")
    if "places" not in said:
        raise Failed(
            f"the heuristic's answer is used: the solver found none in {problem.exact_within:g} s ({said['status']})"
        )
    return said


async def _longer(problem: Problem, first: Answer, why: str) -> Answer:
    rounds = int(ROUNDS_PER_SECOND * problem.exact_within)
    asked = msgspec.structs.replace(problem, rounds=rounds)
    command = [sys.executable, "-m", "continuo.placement.longer"]
    said = await _child(command, pack(asked).encode(), 4 * problem.exact_within + START)
    longer: Answer = _json(said, Answer)
    found = min((first, longer), key=lambda each: rank(problem, each))
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
