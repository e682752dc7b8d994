"""A longer search of the heuristic in a process of its own: a packed problem on stdin, its answer as JSON on stdout.

Where clusters have room, several searches from different seeds find more than one that takes as long as all of them.
"""

from __future__ import annotations

import sys

import msgspec

from continuo.placement.heuristic import place
from continuo.placement.model import Answer, Problem
from continuo.placement.replay import unpack
from continuo.placement.worth import rank

ROUNDS, PER_PART = 2_000, 10
"""Of one search, at least."""


def longer(problem: Problem) -> Answer:
    """The best of as many searches as the problem's rounds are enough for; the same problem has the same answer."""
    rounds = problem.rounds or 0
    turns = max(1, rounds // max(ROUNDS, PER_PART * len(problem.parts)))
    answers = (
        place(msgspec.structs.replace(problem, rounds=rounds // turns, seed=problem.seed + turn))
        for turn in range(turns)
    )
    return min(answers, key=lambda answer: rank(problem, answer))


def main() -> int:
    """Answer what stands on stdin."""
    sys.stdout.buffer.write(msgspec.json.encode(longer(unpack(sys.stdin.read()))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
