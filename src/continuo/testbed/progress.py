"""What the building of a testbed tells while it goes on, and how each part ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from continuo.testbed.choose import Refusal
from continuo.testbed.parts import Part

State = Literal["ready", "made", "missing"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a part ended: it was there, it was made, or it is missing."""

    part: Part
    state: State
    source: str = ""
    version: str = ""
    seconds: float = 0.0
    refusals: tuple[Refusal, ...] = ()


class Report(Protocol):
    """Where progress goes: a terminal, a log."""

    def waits(self, part: Part) -> None:
        """Another run makes this part now."""

    def tries(self, part: Part, source: str) -> None:
        """A source is tried."""

    def says(self, part: Part, text: str, done: int, total: int) -> None:
        """It goes on: what, and how much of how much (0 of 0: unknown)."""

    def ends(self, outcome: Outcome) -> None:
        """A part ended."""
