"""What was computed of the same things is not computed again. Nothing here is needed for correctness."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """The last result for each name, with what it was made of.

    What it was made of must be frozen, or replaced as a whole as objects of caches are: the very same is the same at once,
    other things are compared.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[tuple[object, ...], T]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, name: Hashable, given: tuple[object, ...], compute: Callable[[], T]) -> T:
        """The result for what is given; whatever `compute` raises is raised, and computed again the next time."""
        kept = self._kept.get(name)
        if kept is None or kept[0] != given:
            kept = self._kept[name] = (given, compute())
        return kept[1]

    def forget(self, name: Hashable) -> None:
        """It is gone."""
        self._kept.pop(name, None)

    def keep_only(self, names: Collection[Hashable]) -> None:
        """All others are gone."""
        for name in [name for name in self._kept if name not in names]:
            del self._kept[name]
