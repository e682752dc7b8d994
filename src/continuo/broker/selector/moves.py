"""The ledger of moves: which of them are over, and which may begin. Pure.

A move is written into the Consumer's status before its pod is evicted, and struck out when the replacement is ready. So the
budget holds over a crash, and a pod is never forgotten between the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from continuo.broker.policies.decisions import stamp
from continuo.broker.policies.facts import seconds
from continuo.broker.selector.decide import Want
from continuo.resources.broker import Moving
from continuo.resources.broker_types import MAX_MOVING
from continuo.resources.meta import Key

GIVEN_UP = 600.0
"""Seconds after which a move is struck out though its replacement is not ready: it no longer holds up others."""
UNREPLACED = 120.0
"""Seconds after which a move is struck out whose pod is gone and was not made anew."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of a move: its pod, and the pod that replaces it."""

    there: bool
    leaving: bool
    wanted: bool
    """Whether the pod, if it is still there, still has to leave."""
    replaced: bool
    ready: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pod that could be moved now."""

    key: Key
    uid: str
    workload: str
    want: Want
    instead_of: str = ""
    """The UID of the pod that it replaced, where it came by a move itself."""


def over(entry: Moving, seen: Seen, now: float) -> bool:
    """Whether a move is to be struck out."""
    age = now - seconds(entry.since)
    if seen.there:
        return not seen.leaving and not seen.wanted
    if seen.ready:
        return True
    return age > (GIVEN_UP if seen.replaced else UNREPLACED)


def begin(
    candidates: Sequence[Candidate], ledger: Sequence[Moving], now: float, in_vain: Set[str] = frozenset()
) -> tuple[list[Moving], list[Moving]]:
    """The moves that the budgets allow now, and those of the ledger that go on: those that must first, returns last.

    A pod that is on a move already and has to go on takes its place in the budget with it. Those whose replacement waits
    `in_vain`, since nobody takes it, hold up nobody: a consumer that may be nowhere leaves in one go.
    """
    on = {entry.uid: entry for entry in ledger}
    per_workload: Counter[str] = Counter(entry.workload for entry in ledger if entry.uid not in in_vain)
    moving = sum(per_workload.values())
    begun: list[Moving] = []
    for one in sorted(candidates, key=lambda c: (c.want.back, not c.want.hard, c.key)):
        want = one.want
        if one.uid in on:
            continue
        before = on.get(one.instead_of)
        full = moving >= want.budget.per_consumer or per_workload[one.workload] >= want.budget.per_workload
        if before is None and (full or len(on) + len(begun) >= MAX_MOVING):
            continue
        if before is not None:
            gone_on = before.uid not in in_vain
            per_workload[before.workload] -= gone_on
            moving -= gone_on
            del on[before.uid]
        per_workload[one.workload] += 1
        moving += 1
        begun.append(Moving(
            uid=one.uid, namespace=one.key[0], pod=one.key[1], workload=one.workload, source=want.source,
            home=want.home, back=want.back, since=stamp(now), why=want.why[:512],
        ))  # fmt: skip
    return begun, list(on.values())


def replaces(ledger: Sequence[Moving], key: Key, uid: str, workload: str, taken: Mapping[str, str]) -> Moving | None:
    """The move that a new pod is the replacement of: the one of its name, or any of its workload that has none yet.

    `taken`: the moves that have a replacement already, with its UID.
    """
    open_ = [e for e in ledger if e.uid != uid and taken.get(e.uid, uid) == uid and e.workload == workload]
    named = [entry for entry in open_ if (entry.namespace, entry.pod) == key]
    found = named or open_
    return found[0] if found else None
