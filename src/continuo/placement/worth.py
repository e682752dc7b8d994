"""Whether it pays to look for a better answer than the heuristic's, and which of two answers is the better one. Pure."""

from __future__ import annotations

from continuo.placement.model import Answer, Problem, moved

MOST_CHOICES, MOST_PAIRS = 1_000, 20_000
NEAR = 0.005
"""How far above a bound is as good as the best."""


def near(problem: Problem, first: Answer, gap: float) -> bool:
    """Whether the heuristic's answer is good enough."""
    return gap <= NEAR and not first.unplaced and (problem.improve or not moved(problem, first))


def too_many(choices: int, pairs: int) -> bool:
    """Whether a solver's first answer in the time that there is would be worse than the heuristic's."""
    return choices > MOST_CHOICES or pairs > MOST_PAIRS


def rank(problem: Problem, answer: Answer) -> tuple[float, ...]:
    """Fewer unplaced, fewer moved where nothing moves for its own sake, cheaper; by less than a millionth is not cheaper."""
    return len(answer.unplaced), 0 if problem.improve else len(moved(problem, answer)), round(answer.objective, 6)
