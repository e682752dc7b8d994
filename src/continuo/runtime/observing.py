"""What a controller tells whoever wants to know how it is doing; who that is, is none of its business."""

from __future__ import annotations

from typing import Literal, Protocol

Outcome = Literal["done", "again", "failed"]
"""Content, wants another look at a time of its own, or raised an error and is tried again."""


class Observer(Protocol):
    """Told at once, in the loop: must be quick and not raise. Times in seconds."""

    def waited(self, controller: str, seconds: float) -> None:
        """A key was queued for so long before a worker took it."""

    def reconciled(self, controller: str, outcome: Outcome, seconds: float) -> None:
        """A look at a key ended."""
