"""What is placed as one: parts that share a cluster by `beside`, else each part by itself.

What cannot be placed together on any site is taken apart again: a part that names another in `beside` falls out before the
part that it names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuo.placement.model import Part

if TYPE_CHECKING:
    from continuo.placement.terrain import Floats

Clump = tuple[str, ...]
"""Ids, in order."""


@dataclass(slots=True)
class Unit:
    """What is placed as one."""

    members: Clump
    room: tuple[int, int, int]
    base: Floats
    """By site: what it costs there whoever else is where; infinite where it may not be."""
    current: int
    """Where all of it runs now and may be; -1 where there is no such site."""


def clumps(parts: Mapping[str, Part], ids: Iterable[str]) -> list[Clump]:
    """Parts by what holds them together."""
    chosen = sorted(ids)
    above = {each: each for each in chosen}

    def root(each: str) -> str:
        while above[each] != each:
            above[each] = above[above[each]]
            each = above[each]
        return each

    for each in chosen:
        for other in parts[each].beside:
            if other in above:
                above[root(each)] = root(other)
    found: dict[str, list[str]] = defaultdict(list)
    for each in chosen:
        found[root(each)].append(each)
    return sorted(tuple(members) for members in found.values())


def next_out(parts: Mapping[str, Part], clump: Clump, can: Callable[[Clump], bool]) -> str | None:
    """Who falls out first of what cannot be together: one whom no other names.

    Rather one without whom the rest can be together, or who can be nowhere anyway; rather one that runs nowhere, or is large.
    """
    named = {other for each in clump for other in parts[each].beside if other != each}
    free = [each for each in clump if each not in named]

    def keep(each: str) -> tuple[object, ...]:
        part = parts[each]
        rest = tuple(other for other in clump if other != each)
        size = (-part.room.gpus, -part.room.cpu_millis, -part.room.memory_bytes)
        return not can(rest), can((each,)), part.current is not None, *size, each

    return min(free, key=keep, default=None)


def possible(
    parts: Mapping[str, Part], ids: Iterable[str], can: Callable[[Clump], bool]
) -> tuple[list[Clump], list[str]]:
    """Clumps that some site could take, and parts that fell out."""
    fine: list[Clump] = []
    out: list[str] = []
    waiting = clumps(parts, ids)
    while waiting:
        clump = waiting.pop()
        if len(clump) == 1 or can(clump):
            fine.append(clump)
            continue
        gone = next_out(parts, clump, can)
        out += clump if gone is None else [gone]
        if gone is not None:
            waiting += clumps(parts, [each for each in clump if each != gone])
    return sorted(fine), sorted(out)
