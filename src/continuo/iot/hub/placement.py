"""On which boards of a fleet a workload should be. Pure: from what is known of the boards to a decision with its reasons.

Who has it keeps it while it may: a board that comes, or one that is better, moves nothing. A board that is offline keeps it
for a grace time, since boards come and go; after that another takes over, and where none can, it stays.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

EARTH = 6371.0
"""Kilometres from its middle."""
GRACE = 300.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A board of the fleet, as it was reported last."""

    board: str
    labels: Mapping[str, str] = field(default_factory=dict)
    at: tuple[float, float] | None = None
    """Degrees east and north."""
    offline_for: float | None = None
    """Seconds; None: it is online; infinite where it never was."""
    capabilities: frozenset[str] = frozenset()
    cpu: float | None = None
    """Free cores; None: not known."""
    memory: float | None = None
    """Free bytes; None: not known."""
    has: bool = False
    """It runs the workload, or is told to."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for."""

    replicas: int | None = None
    """None: every board that may have it."""
    runtime: str = "process"
    labels: Mapping[str, str] = field(default_factory=dict)
    near: tuple[float, float] | None = None
    """Degrees east and north."""
    within: tuple[float, float, float, float] | None = None
    """West, south, east, north, in degrees; west may be east of east, across the date line."""
    spread_by: str | None = None
    grace: float = GRACE
    """Seconds for which a board may be offline and keep it."""
    cpu: float | None = None
    memory: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Where it should be."""

    boards: tuple[str, ...]
    why: Mapping[str, str]
    """For each candidate, a sentence."""
    missing: int = 0
    """How many replicas have no board."""


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Kilometres between two places, over the ground."""
    (east1, north1), (east2, north2) = (tuple(map(math.radians, place)) for place in (one, other))
    half = math.sin((north2 - north1) / 2) ** 2
    half += math.cos(north1) * math.cos(north2) * math.sin((east2 - east1) / 2) ** 2
    return 2 * EARTH * math.asin(math.sqrt(min(1.0, half)))


def inside(box: tuple[float, float, float, float], at: tuple[float, float]) -> bool:
    """Whether a place is in a part of the map."""
    west, south, east, north = box
    across = west <= at[0] <= east if west <= east else at[0] >= west or at[0] <= east
    return across and south <= at[1] <= north


def place(wish: Wish, candidates: Iterable[Candidate]) -> Decision:
    """Decide; the order of candidates makes no difference."""
    everyone = sorted(candidates, key=lambda each: each.board)
    why = {each.board: sentence for each in everyone if (sentence := unfit(wish, each))}
    able = [each for each in everyone if each.board not in why]
    if wish.replicas is None:
        why |= {each.board: _told(each) for each in able}
        return Decision(tuple(each.board for each in able), why)
    kept = [each for each in able if each.has and _present(wish, each)]
    chosen = _best(wish, kept, [], wish.replicas)
    free = [each for each in able if not each.has and each.offline_for is None]
    chosen += _best(wish, free, chosen, wish.replicas - len(chosen))
    away = [each for each in able if each.has and not _present(wish, each)]
    chosen += _best(wish, away, chosen, wish.replicas - len(chosen))
    names = {each.board for each in chosen}
    why |= {each.board: _reason(wish, each, each.board in names) for each in able}
    return Decision(tuple(sorted(names)), why, wish.replicas - len(chosen))


def unfit(wish: Wish, board: Candidate) -> str:
    """Why a board may not have it; empty: it may."""
    for key, value in wish.labels.items():
        if board.labels.get(key) != value:
            return f"its label {key} is {board.labels.get(key) or 'absent'}, not {value}"
    if wish.within is not None and board.at is None:
        return "nobody has said where it is, and the workload is for a part of the map"
    if wish.within is not None and board.at is not None and not inside(wish.within, board.at):
        return f"it is at {board.at[0]:g} east, {board.at[1]:g} north: not in the part of the map that is asked for"
    if board.capabilities and wish.runtime not in board.capabilities:
        return f"its agent runs no workloads of runtime {wish.runtime}"
    return "" if board.has else _lacks(wish, board)


def _lacks(wish: Wish, board: Candidate) -> str:
    """What it has too little of; who runs it already is not asked, since what it uses is not free."""
    if wish.memory is not None and board.memory is not None and board.memory < wish.memory:
        return f"it has {_mib(board.memory)} of memory free, and {_mib(wish.memory)} are needed"
    if wish.cpu is not None and board.cpu is not None and board.cpu < wish.cpu:
        return f"it has {board.cpu:g} processors free, and {wish.cpu:g} are needed"
    return ""


def _mib(size: float) -> str:
    return f"{size / (1 << 20):.0f} MiB"


def _present(wish: Wish, board: Candidate) -> bool:
    return board.offline_for is None or board.offline_for <= wish.grace


def _best(wish: Wish, boards: Sequence[Candidate], beside: Sequence[Candidate], most: int) -> list[Candidate]:
    """As many as wanted: each from the group that has least so far, then who is online, near, and has most to spare."""
    groups = Counter(_group(wish, each) for each in beside)
    queues: dict[str, list[Candidate]] = {}
    for each in sorted(boards, key=lambda each: _rank(wish, each), reverse=True):
        queues.setdefault(_group(wish, each), []).append(each)
    chosen: list[Candidate] = []
    while queues and len(chosen) < most:
        group = min(queues, key=lambda name: (groups[name], _rank(wish, queues[name][-1])))
        chosen.append(queues[group].pop())
        groups[group] += 1
        if not queues[group]:
            del queues[group]
    return chosen


def _group(wish: Wish, board: Candidate) -> str:
    return board.labels.get(wish.spread_by, "") if wish.spread_by is not None else ""


def _rank(wish: Wish, board: Candidate) -> tuple[bool, float, float, float, str]:
    far = 0.0 if wish.near is None else math.inf if board.at is None else distance(wish.near, board.at)
    return (board.offline_for is not None, far, -(board.memory or 0.0), -(board.cpu or 0.0), board.board)


def _told(board: Candidate) -> str:
    if board.offline_for is None:
        return "it has it, as every board of the fleet that may"
    return "it is offline, and is told when it comes back"


def _reason(wish: Wish, board: Candidate, chosen: bool) -> str:
    place = "" if wish.near is None or board.at is None else f", {distance(wish.near, board.at):.0f} km away"
    if chosen and board.offline_for is not None and not _present(wish, board):
        return (
            f"it is offline for {board.offline_for:.0f} s, longer than {wish.grace:g} s, but no other board can have it"
        )
    if chosen and board.offline_for is not None:
        return f"it is offline for {board.offline_for:.0f} s, and keeps it for {wish.grace:g} s"
    if chosen:
        return f"it {'keeps' if board.has else 'gets'} it{place}"
    if board.offline_for is not None:
        away = (
            "it was never online" if math.isinf(board.offline_for) else f"it is offline for {board.offline_for:.0f} s"
        )
        return f"{away}; another board has it" if board.has else f"{away}, so it gets nothing new"
    return f"{wish.replicas} replicas have their boards already{place}"
