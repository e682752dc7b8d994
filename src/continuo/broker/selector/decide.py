"""One pod, what policies say about it, and the rooms there are -> what is to be done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from continuo.broker.policies.compiled import Policy
from continuo.broker.policies.decisions import Decision
from continuo.broker.policies.verdicts import Verdict
from continuo.broker.selector.rooms import Rooms, refusal
from continuo.resources.broker import MovesSpec, Running
from continuo.resources.meta import Object


@dataclass(frozen=True, slots=True)
class Place:
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
    avoid: str | None = None,
) -> Place | NoPlace:  # fmt: skip
    """The best provider that has room; of equally good ones the one with the most."""
    lacking: list[tuple[str, str]] = []
    preferred = [verdict for verdict in decision.allowed if verdict.provider == prefer]
    others = (list(group) for _, group in groupby(decision.allowed, key=lambda verdict: verdict.order))
    for group in (preferred, *others):
        found = _roomiest(group, rooms, spec, asked, avoid, lacking)
        if found is not None:
            return found
    return NoPlace(tuple(lacking))


def _roomiest(
    group: Sequence[Verdict], rooms: Rooms, spec: Object, asked: Mapping[str, int], avoid: str | None,
    lacking: list[tuple[str, str]],
) -> Place | None:  # fmt: skip
    best: tuple[float, str, str] | None = None
    for verdict in group:
        if verdict.provider == avoid:
            continue
        why: str | None = "without a node"
        for room in rooms.of(verdict.provider):
            why = refusal(room, spec) or room.lacks(asked)
            if why is None:
                candidate = (-room.free(), verdict.provider, room.name)
                best = candidate if best is None or candidate < best else best
        if why is not None:
            lacking.append((verdict.provider, f"allowed but {why}"))
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
    if broken and all(policy.moves.running is Running.KEEP for policy in broken):
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
