"""What an agent does besides plugins, as it sees it: told whole what there should be, says what there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

Json = Mapping[str, Any]


class Part(Protocol):
    """Services, ports or workloads of a board."""

    async def set(self, desired: Mapping[str, Json]) -> None:
        """Have exactly these."""

    def status(self) -> Mapping[str, Json]:
        """What is reported of each."""

    async def close(self) -> None:
        """End; what should be there is there again after the next start."""


class Absent:
    """In the place of a part that this agent does not have: everything that is asked of it is refused in a sentence."""

    def __init__(self, changed: Callable[[], None], entry: Callable[[str], Json], why: str) -> None:
        self._changed, self._entry, self._why = changed, entry, why
        self._asked: tuple[str, ...] = ()

    async def set(self, desired: Mapping[str, Json]) -> None:
        """Refuse these."""
        self._asked = tuple(desired)
        self._changed()

    def status(self) -> Mapping[str, Json]:
        """Each with the reason."""
        return {uuid: self._entry(self._why) for uuid in self._asked}

    async def close(self) -> None:
        """Nothing is open."""
