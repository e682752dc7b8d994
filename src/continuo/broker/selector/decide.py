"""One pod, what policies say about it, and the rooms there are -> what is to be done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import msgspec

from continuo.broker.policies.compiled import Policy
from continuo.broker.policies.decisions import Decision
from continuo.broker.policies.verdicts import Verdict
from continuo.broker.selector.rooms import Room, Rooms, refusal
from continuo.resources.broker import MovesSpec, Running
from continuo.resources.meta import Object


class Place(msgspec.Struct, frozen=True):
    """Where a pod goes."""

    provider: str
    node: str


@dataclass(frozen=True, slots=True)
class NoPlace:
    """Nobody takes the pod. `lacking`: what the providers that are allowed lack."""

    lacking: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """The strictest of what the policies that cover a pod say about moves."""

    per_workload: int = MovesSpec().per_workload
    per_consumer: int = MovesSpec().per_consumer
    return_after: float = float(MovesSpec().return_after)


@dataclass(frozen=True, slots=True)
class Want:
    """A pod that should be moved."""

    source: str
    home: str
    back: bool
    why: str
    hard: bool
    """It must leave even if nobody takes it."""
    budget: Budget


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing now, but look again in so many seconds."""

    seconds: float


def place(
    decision: Decision, rooms: Rooms, spec: Object, asked: Mapping[str, int], *, prefer: str | None = None,
    avoid: str | None = None, merits: Mapping[str, float] | None = None,
) -> Place | NoPlace:  # fmt: skip
    """The best provider that has room; of equally good ones the one with the most.

    `merits`: how well each node fulfils what the pod wishes of topology, which comes before the policies' rank.
    """
    lacking: dict[str, str] = {}
    if prefer is not None and prefer != avoid:
        first = [(verdict, rooms.of(prefer)) for verdict in decision.allowed if verdict.provider == prefer]
        found = _roomiest(first, spec, asked, lacking)
        if found is not None:
            return found
    for group in _by_rank(decision, rooms, avoid) if merits is None else _by_merit(decision, rooms, avoid, merits):
        found = _roomiest(group, spec, asked, lacking)
        if found is not None:
            return found
    return NoPlace(tuple(lacking.items()))


_Group: TypeAlias = Sequence[tuple[Verdict, Iterable[Room]]]
"""Providers that are equally good, and the nodes of theirs that are."""


def _by_rank(decision: Decision, rooms: Rooms, avoid: str | None) -> Iterator[_Group]:
    for group in decision.ranked:
        yield [(verdict, rooms.of(verdict.provider)) for verdict in group if verdict.provider != avoid]


def _by_merit(decision: Decision, rooms: Rooms, avoid: str | None, merits: Mapping[str, float]) -> Iterator[_Group]:
    def order(one: tuple[Verdict, tuple[Room]]) -> tuple[float, tuple[bool, float]]:
        verdict, (room,) = one
        return -round(merits.get(room.name, 0.0), 9), verdict.order

    allowed = [verdict for verdict in decision.allowed if verdict.provider != avoid]
    nodes = [(verdict, (room,)) for verdict in allowed for room in rooms.of(verdict.provider)]
    for _, group in groupby(sorted(nodes, key=order), key=order):
        yield list(group)
    having = {verdict.provider for verdict, _ in nodes}
    yield [(verdict, ()) for verdict in allowed if verdict.provider not in having]


def _roomiest(group: _Group, spec: Object, asked: Mapping[str, int], lacking: dict[str, str]) -> Place | None:
    best: tuple[float, str, str] | None = None
    for verdict, nodes in group:
        why: str | None = "without a node"
        for room in nodes:
            why = refusal(room, spec) or room.lacks(asked)
            if why is None:
                candidate = (-room.free(), verdict.provider, room.name)
                best = candidate if best is None or candidate < best else best
        if why is not None:
            lacking[verdict.provider] = f"allowed but {why}"
    return None if best is None else Place(best[1], best[2])


def budget(policies: Iterable[Policy]) -> Budget:
    """The strictest of several policies."""
    moves = [policy.moves for policy in policies]
    if not moves:
        return Budget()
    return Budget(
        min(each.per_workload for each in moves), min(each.per_consumer for each in moves),
        float(max(each.return_after for each in moves)),
    )  # fmt: skip


def leave(
    decision: Decision, provider: str, home: str | None, policies: Mapping[str, Policy], covering: Sequence[Policy],
    denied_for: float,
) -> Want | Later | None:  # fmt: skip
    """What becomes of a pod that runs at a provider: nothing, or it should leave, at once or after a while."""
    verdict = decision.verdict(provider)
    if verdict is not None and verdict.allowed:
        return None
    if verdict is None:
        gone = f"there is no Provider {provider} any more"
        return Want(provider, home or provider, False, gone, True, budget(covering))
    broken = [policies[removal.policy] for removal in verdict.removals if removal.policy in policies]
    by_policies = len(broken) == len(verdict.removals)
    if by_policies and all(policy.moves.running is Running.KEEP for policy in broken):
        return None
    patience = 0.0 if verdict.hard else float(min((policy.moves.after for policy in broken), default=0))
    if denied_for < patience:
        return Later(patience - denied_for)
    why = verdict.removals[0].why
    return Want(provider, home or provider, False, why, verdict.hard, budget(covering))


def come_back(
    decision: Decision, provider: str, home: str, covering: Sequence[Policy], allowed_for: float
) -> Want | Later | None:
    """What becomes of a pod that was moved away from its provider: it returns once that was allowed for long enough."""
    there, here = decision.verdict(home), decision.verdict(provider)
    if there is None or here is None or not there.allowed or there.order > here.order:
        return None
    strict = budget(covering)
    if allowed_for < strict.return_after:
        return Later(strict.return_after - allowed_for)
    return Want(provider, home, True, f"{home} is allowed again since {int(allowed_for)} s", False, strict)
