"""A way out for events: whoever takes them and keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from continuo.events.cloudevent import Event


class SinkUnavailable(Exception):
    """The sink does not take events now: they are offered again, with the same ids. `str()` is a sentence."""


class Sink(Protocol):
    """Takes events, at least once and in order; the same event may come again."""

    @property
    def name(self) -> str:
        """What it is called in logs and metrics."""
        ...

    async def publish(self, events: Sequence[Event]) -> None:
        """Keep them all: when this returns they are safe. Raises SinkUnavailable if none or only some are."""
        ...
