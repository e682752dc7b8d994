"""Judging beside the event loop: what is looked at is taken at one moment, a thread does the rest.

A thread and not one of the placement's processes: of 2,048 components and 64 actions it takes some 40 ms, which is not worth
processes that are kept, and such an orchestration carried into them. With a thread the interpreter gives everybody else a
turn every few milliseconds. Nothing that a thread reads is ever changed: objects of caches are replaced as wholes, and what
the log says of the past is asked before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from continuo.placement.guards import Limits, Rejection, State, judge_all, needs_approval, subject_of, touched
from continuo.resources.loop import DecidedAction, decode_adjustment
from continuo.resources.meta import Object
from continuo.resources.orchestration import LowLevelOrchestration, decode
from continuo.server.scheduler.following import Infrastructure
from continuo.server.scheduler.log import StateLog
from continuo.server.scheduler.past import Accepted, history_of, opened, read
from continuo.server.scheduler.problem import state_of

Item = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Picture:
    """One orchestration as the management cluster told it at one moment."""

    object: Object
    adjustment: Object | None
    decisions: tuple[Object, ...]
    now: datetime

    def state(self, rank: int | None = None, ours: Iterable[DecidedAction] = ()) -> State:
        """For guards; raises Invalid.

        What open decisions say counts as done, except about the same as `ours`. With `rank` what those of at least that
        priority speak of is nobody else's to decide.
        """
        still, about = list(opened(read(self.decisions), self.now)), {subject_of(action) for action in ours}
        promised = [action for _, action in still if subject_of(action) not in about]
        first = [action for priority, action in still if rank is not None and priority >= rank]
        adjustment = decode_adjustment(self.adjustment)
        return state_of(self.orchestration(), adjustment, promised, first, self.now.timestamp())

    def orchestration(self) -> LowLevelOrchestration:
        """Its typed form; raises Invalid."""
        return decode(self.object)


def picture(infrastructure: Infrastructure, name: str) -> Picture | None:
    """The orchestration as it is now; none where there is none."""
    obj = infrastructure.orchestrations.cache.get((infrastructure.namespace, name))
    if obj is None:
        return None
    decisions = tuple(infrastructure.decisions_of(name))
    return Picture(obj, infrastructure.adjustment(name), decisions, infrastructure.clock())


@dataclass(frozen=True, slots=True)
class Since:
    """What changed of what actions rest on, since the state that they were decided on: as guards ask for it."""

    found: Mapping[Item, str | None] = field(default_factory=dict)

    def changed(self, collection: str, identity: str, fields: Iterable[str]) -> str | None:
        """As `Basis` says."""
        return self.found[collection, identity, tuple(fields)]


def since(log: StateLog, version: int, name: str, actions: Iterable[DecidedAction | Rejection]) -> Since:
    """What the log says of the actions about an orchestration now."""
    items = (item for action in actions if isinstance(action, DecidedAction) for item in touched(name, action))
    return Since({item: log.changed(*item, version) for item in items})


@dataclass(frozen=True, slots=True)
class Case:
    """A decision, and everything that it is judged by."""

    picture: Picture
    actions: Sequence[DecidedAction | Rejection]
    rank: int
    """Its priority."""
    accepted: Sequence[Accepted]
    """What this server accepted within an hour."""
    since: Since
    limits: Limits


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of a decision's actions."""

    of: Sequence[Rejection | None]
    accepted: tuple[DecidedAction, ...]
    approval: bool
    """Whether one of the accepted has to be approved."""


def judged(case: Case) -> Verdicts:
    """Judge a decision; raises Invalid where the orchestration or its Adjustment cannot be read. Pure."""
    seen, ours = case.picture, [action for action in case.actions if isinstance(action, DecidedAction)]
    state = seen.state(case.rank, ours)
    history = history_of(case.accepted, read(seen.decisions), seen.now)
    found = judge_all(state, case.actions, case.limits, history, case.since)
    pairs = zip(case.actions, found, strict=True)
    accepted = tuple(a for a, verdict in pairs if isinstance(a, DecidedAction) and not verdict)
    return Verdicts(found, accepted, any(needs_approval(state, action) for action in accepted))
