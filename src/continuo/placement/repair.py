"""What has to make way so that something fits that fits nowhere."""

from __future__ import annotations

import math

import numpy as np

from continuo.placement.state import State

MOST = 6
"""Units that may be asked to make way at once."""


def hopeful(state: State, unit: int) -> list[int]:
    """Sites where a unit could be if others made way: the fewest and cheapest first."""
    wanted, base = np.array(state.units[unit].room), state.units[unit].base
    empty = state.compiled.terrain.fits(wanted, state.compiled.left)
    sites = np.flatnonzero(empty & np.isfinite(base))
    lacking = np.zeros(len(sites))
    for resource, room in enumerate(state.units[unit].room):
        if room:
            lacking = np.maximum(lacking, (room - state.left[resource][sites]) / room)
    order = np.lexsort((base[sites], np.maximum(0, lacking)))
    return [int(site) for site in sites[order]]


def in_the_way(state: State, unit: int, site: int) -> list[int] | None:
    """Units that keep another off a site: first those that always do, then as few as make room. None: too many."""
    talking, out = state.talking, set()
    for pair in talking.pairs[unit]:
        there = state.place[pair.other]
        if there >= 0 and talking.row(pair, there)[site] == math.inf:
            out.add(pair.other)
    out.update(other for other in state.compiled.apart.get(unit, ()) if state.place[other] == site)
    out.update(_room_makers(state, unit, site, out))
    return sorted(out) if len(out) <= MOST else None


def _room_makers(state: State, unit: int, site: int, gone: set[int]) -> list[int]:
    """The smallest single unit whose room is enough, else the largest until there is enough."""
    lacking = np.array([state.units[unit].room[r] - left[site] for r, left in enumerate(state.left)])
    lacking[np.array(state.units[unit].room) == 0] = 0
    here = sorted(state.on[site])
    for other in gone.intersection(here):
        lacking -= np.array(state.units[other].room)
    rooms = {other: np.array(state.units[other].room) for other in here if other not in gone}
    enough = [other for other, room in rooms.items() if (room >= lacking).all()]
    if (lacking <= 0).all():
        return []
    if enough:
        return [min(enough, key=lambda other: (float(_weight(rooms[other], lacking)), other))]
    chosen: list[int] = []
    for other in sorted(rooms, key=lambda other: (-float(_weight(rooms[other], lacking)), other)):
        if (lacking <= 0).all():
            break
        chosen.append(other)
        lacking = lacking - rooms[other]
    return chosen


def _weight(
    room: np.ndarray[tuple[int], np.dtype[np.int64]], lacking: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> float:
    short = lacking > 0
    return float((room[short] / lacking[short]).sum())
