"""What may be computed in another process: a job is its input, its result the same wherever it is done. Pure."""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

from msgspec import Struct

from continuo.placement.model import Answer, Problem
from continuo.placement.placed import EXPLAINED, Placed, Told, placed, tell_of
from continuo.placement.score import objectives

SEARCH, PART, EXPLAIN = 6.0, 0.015, 0.03
"""Milliseconds: to place a part, to have one in the problem, to weigh a site for one, as measured."""


class Place(Struct, frozen=True, tag="place"):
    """Find places; with `tell` also what is kept with the decision."""

    problem: Problem
    tell: bool = True
    result: ClassVar[Any] = Placed

    def milliseconds(self) -> float:
        """About how long it takes."""
        free, told = asked_of(self.problem), EXPLAIN * len(self.problem.sites) if self.tell else 0.0
        return SEARCH * free + PART * len(self.problem.parts) + told * min(free, EXPLAINED)

    def do(self) -> Placed:
        return placed(self.problem, tell=self.tell)


class Weighed(Struct, frozen=True, kw_only=True):
    """What is said of places that somebody else found, and what they are worth."""

    told: Told
    before: float
    """The objective of everything where it is."""
    after: float


class Weigh(Struct, frozen=True, tag="weigh"):
    """Tell of parts why they go where the places have them."""

    problem: Problem
    answer: Answer
    parts: tuple[str, ...]
    result: ClassVar[Any] = Weighed

    def milliseconds(self) -> float:
        """About how long it takes."""
        told = EXPLAIN * len(self.problem.sites) * min(len(self.parts), EXPLAINED)
        return 2 * PART * len(self.problem.parts) + told

    def do(self) -> Weighed:
        here = {part.id: part.current for part in self.problem.parts if part.current is not None}
        return Weighed(
            told=tell_of(self.problem, self.answer, self.parts),
            before=objectives(self.problem, here).total,
            after=objectives(self.problem, self.answer.places).total,
        )


class Prepared(Struct, frozen=True, kw_only=True):
    """The heuristic's answer, and whether it pays to look for a better one."""

    first: Answer
    gap: float = 0.0
    """How far above the best it may be, as a share of itself."""
    choices: int = 0
    pairs: int = 0
    asked: Any = None
    """The exact solver's input; none where it is not to be asked."""


class Prepare(Struct, frozen=True, tag="prepare"):
    """Begin what an exact solver may end."""

    problem: Problem
    result: ClassVar[Any] = Prepared

    def milliseconds(self) -> float:
        """About how long it takes."""
        return 2 * Place(self.problem, tell=False).milliseconds()

    def do(self) -> Prepared:
        from continuo.placement.solving import prepared

        return prepared(self.problem)


class Finish(Struct, frozen=True, tag="finish"):
    """Judge what the exact solver said."""

    problem: Problem
    first: Answer
    said: dict[str, Any]
    loyal: float
    result: ClassVar[Any] = Answer

    def milliseconds(self) -> float:
        """About how long it takes."""
        return 4 * PART * len(self.problem.parts) + asked_of(self.problem)

    def do(self) -> Answer:
        from continuo.placement.solving import finished

        return finished(self.problem, self.first, self.said, self.loyal)


Job: TypeAlias = Place | Weigh | Prepare | Finish


def asked_of(problem: Problem) -> int:
    """How many parts may go elsewhere than they are."""
    movable = problem.movable
    return sum(1 for part in problem.parts if movable is None or part.current is None or part.id in movable)
