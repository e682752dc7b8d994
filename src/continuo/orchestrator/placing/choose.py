"""Which components need a place, where they go, and what is said of those that get none. Pure.

What runs stays: a component is asked about when it has no place, when its declaration no longer allows the one that it has,
or when its cluster is too full for it. Clusters that fail are `failover`'s; a path that became slower moves nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from dataclasses import replace as replace_choice

from msgspec.structs import replace

from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.loops.enact import moment
from continuo.orchestrator.loops.model import STAY, Found, Homes, Placer, Unplaced
from continuo.orchestrator.observe import Reach, Snapshot, Waiting
from continuo.orchestrator.placing.problem import grounds_of, part_id, path_of, problem_of
from continuo.orchestrator.settings import Settings
from continuo.placement.check import check
from continuo.placement.model import Problem
from continuo.placement.placed import Placed, Told, batched, moves_of, placed
from continuo.placement.reasons import Cause
from continuo.resources.loop import DecidedAction, DecisionSpec, Operation
from continuo.resources.orchestration import PlacementSpec
from continuo.resources.orchestration_policies import Scheduler

_DECLARED = frozenset(
    {Cause.PINNED, Cause.HINT, Cause.LABELS, Cause.LOCATION, Cause.LINK, Cause.BESIDE, Cause.APART, Cause.SPREAD}
)
_ROOM = frozenset({Cause.CPU, Cause.MEMORY, Cause.GPU})
AWAITING = "AwaitingScheduler"
"""The reason of components that an external scheduler may still place."""
BEFORE = frozenset({"Placing", "Paused"})
"""Reasons of components that nobody may place yet: nobody's time runs."""
_COMING = frozenset({"Pending", "Provisioning", "InstallingPackages"})


@dataclass(frozen=True, slots=True)
class Open:
    """What has to be placed."""

    without: tuple[str, ...] = ()
    """Components without a place."""
    misplaced: Mapping[str, str] = field(default_factory=dict)
    """Components that may not, or cannot, be where they are, and why."""

    @property
    def paths(self) -> frozenset[str]:
        return frozenset((*self.without, *self.misplaced))


@dataclass(frozen=True, slots=True)
class Choice:
    """What was found: a decision to make (None: none), what to say of the others, when to look again."""

    decision: DecisionSpec | None = None
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    unplaced: tuple[Unplaced, ...] = ()
    again: datetime.datetime | None = None
    problem: Problem | None = None
    rest: bool = False
    """Whether more is to be moved than one decision may."""
    held: bool = False
    """Nothing was asked, because it was not this orchestration's turn."""


@dataclass(frozen=True, slots=True)
class Question:
    """What placement is asked."""

    problem: Problem
    found: Open
    waits: Choice
    """Of those that an external scheduler may still place."""
    coming: tuple[str, ...] = ()
    """Clusters that may still come."""


def places_anything(snapshot: Snapshot) -> bool:
    """Whether any component leaves the choice."""
    return any(c.placement is not None for app in snapshot.declared.apps for c in app.components)


def placer(snapshot: Snapshot, assessment: Assessment) -> Placer:
    """Finds room for components with nothing else moved, at once."""
    builder = room_problem(snapshot, assessment)

    def find(paths: Iterable[str], avoid: frozenset[str], homes: Homes = STAY) -> Found:
        answer = placed(builder(paths, avoid, homes), tell=False)
        return found_of(answer, {part_id(snapshot.key, path) for path in paths})

    return find


Builder = Callable[[Iterable[str], frozenset[str], Homes], Problem]


def room_problem(snapshot: Snapshot, assessment: Assessment) -> Builder:
    """Makes problems in which components (paths) go anywhere but to the clusters of the second argument; see `Placer`."""
    grounds = grounds_of(snapshot, assessment)

    def build(paths: Iterable[str], avoid: frozenset[str], homes: Homes) -> Problem:
        return problem_of(
            snapshot.key, snapshot.orchestration.spec, snapshot.adjustment, grounds, assessment.figures,
            movable=paths, avoid=avoid, homes=homes,
        )  # fmt: skip

    return build


def found_of(answer: Placed, wanted: Set[str]) -> Found:
    """What an answer says of some parts, by path."""
    return Found(
        {path_of(part): site for part, site in answer.answer.places.items() if part in wanted},
        {path_of(part): why for part, why in answer.nowhere.items() if part in wanted},
    )


def whole_problem(
    snapshot: Snapshot, assessment: Assessment, movable: Iterable[str] | None, homes: Homes = STAY
) -> Problem:
    """The problem of everything, in which only those components may move (None: all that leave the choice)."""
    return problem_of(
        snapshot.key, snapshot.orchestration.spec, snapshot.adjustment, grounds_of(snapshot, assessment),
        assessment.figures, movable=movable, homes=homes,
    )  # fmt: skip


# --- what a round has to place -----------------------------------------------------------------------------------------


def open_parts(snapshot: Snapshot, problem: Problem) -> Open:
    """What has no place, and what may not stay where it is."""
    free = {f"{app.name}/{c.name}" for app in snapshot.orchestration.spec.apps for c in app.components
            if c.placement is not None}  # fmt: skip
    places = {part.id: part.current for part in problem.parts if part.current is not None}
    without = tuple(sorted(path_of(part.id) for part in problem.parts if part.current is None))
    ill = {site.name for site in problem.sites if not site.available}
    misplaced: dict[str, str] = {}
    for wrong in check(replace(problem, movable=None), places):
        path = path_of(wrong.part)
        crowded = (
            wrong.cause in _ROOM and wrong.site not in ill
        )  # nobody knows what there is on one that does not answer
        if path in free and path not in without and (wrong.cause in _DECLARED or crowded):
            misplaced.setdefault(path, f"{wrong.site}: {wrong.message}")
    return Open(without, misplaced)


def choose(
    snapshot: Snapshot, assessment: Assessment, settings: Settings, now: datetime.datetime,
    first_seen: Mapping[str, datetime.datetime],
) -> Choice:  # fmt: skip
    """Place what has to be placed, at once. `first_seen` says since when each component has waited."""
    whole = whole_problem(snapshot, assessment, ())
    question = asked(snapshot, assessment, settings, now, first_seen, whole, open_parts(snapshot, whole))
    if isinstance(question, Choice):
        return question
    return answered(snapshot, question, placed(question.problem))


def asked(
    snapshot: Snapshot, assessment: Assessment, settings: Settings, now: datetime.datetime,
    first_seen: Mapping[str, datetime.datetime], whole: Problem, found: Open,
) -> Choice | Question:  # fmt: skip
    """What placement is to be asked; a choice where there is nothing to ask, or nobody may.

    `whole` is the problem in which nothing may move, `found` what of it is open.
    """
    if not found.paths:
        return Choice()
    if snapshot.declared.paused:
        return _told(found, "Paused", "the orchestration is paused: nothing is placed")
    coming = _coming(snapshot, assessment)
    if found.without and coming and (until := _patience(snapshot, settings, now)) > now:
        told = f"waiting for {', '.join(coming)} to come up before it is placed"
        return _told(found, "Placing", told, again=until)
    waits, ours = _external(snapshot, found, now, first_seen)
    if not ours:
        return waits
    movable = frozenset(part_id(snapshot.key, path) for path in ours)
    return Question(replace(whole, movable=movable), found, waits, tuple(coming))


def holds(problem: Problem, answer: Placed) -> bool:
    """Whether what an answer moves may be done as things stand in another problem, with nothing else moved."""
    moves = moves_of(problem, answer.answer)
    here = {part.id: part.current for part in problem.parts if part.current is not None}
    return not check(problem, {**here, **moves}, only=moves)


def held(question: Question, message: str, again: datetime.datetime) -> Choice:
    """Nothing could be asked now; the message says why."""
    waiting = _told(question.found, "Placing", message).waiting
    return replace_choice(question.waits, waiting={**waiting, **question.waits.waiting}, again=again, held=True)


def _told(found: Open, reason: str, message: str, again: datetime.datetime | None = None) -> Choice:
    return Choice(waiting={path: Waiting(reason, message) for path in found.without}, again=again)


def _coming(snapshot: Snapshot, assessment: Assessment) -> list[str]:
    """Declared clusters that are on their way up for the first time."""
    specs = {spec.name: spec for spec in snapshot.orchestration.spec.clusters if not spec.simulated}
    return sorted(
        name
        for name, state in assessment.clusters.items()
        if name in specs and str(state.phase) in _COMING and not (specs[name].existing and _lost(snapshot, name))
    )


def _lost(snapshot: Snapshot, name: str) -> bool:
    return snapshot.clusters[name].workload.reach is Reach.LOST


def _patience(snapshot: Snapshot, settings: Settings, now: datetime.datetime) -> datetime.datetime:
    """Until when clusters that come up are waited for, once the first is ready."""
    told = (snapshot.object.get("status") or {}).get("clusters") or ()
    ready = [moment(c.get("lastTransitionTime")) for c in told if c.get("phase") == "Ready"]
    first = min((at for at in ready if at is not None), default=now)
    return first + datetime.timedelta(seconds=settings.placing_patience)


def _external(
    snapshot: Snapshot, found: Open, now: datetime.datetime, first_seen: Mapping[str, datetime.datetime]
) -> tuple[Choice, frozenset[str]]:
    """Whose turn an external scheduler has, and who is left to us."""
    how = snapshot.declared.placement or PlacementSpec()
    if how.scheduler is not Scheduler.EXTERNAL:
        return Choice(), found.paths
    within = datetime.timedelta(seconds=how.decide_within)
    due = {path: first_seen.get(path, now) + within for path in found.paths}
    waiting = {
        path: Waiting(
            AWAITING,
            f"an external scheduler may decide until {at:%H:%M:%S} UTC, then the built-in one does",
            f"{at:%Y-%m-%dT%H:%M:%SZ}",
        )
        for path, at in due.items()
        if at > now and path in found.without
    }
    left = frozenset(path for path, at in due.items() if at <= now)
    return Choice(waiting=waiting, again=min((at for at in due.values() if at > now), default=None)), left


def answered(snapshot: Snapshot, question: Question, answer: Placed) -> Choice:
    """What follows from the answer."""
    problem, found = question.problem, question.found
    current = {part.id: part.current for part in problem.parts}
    ours = {part: path_of(part) for part in problem.movable or ()}
    moves = moves_of(problem, answer.answer)
    nowhere = {ours[part]: why for part, why in answer.nowhere.items() if part in ours}
    nowhere |= {
        ours[part]: found.misplaced[ours[part]]
        for part, site in answer.answer.places.items()
        if part in ours and current[part] == site and ours[part] in found.misplaced
    }
    waiting = dict(question.waits.waiting)
    for path in found.without:
        if path in nowhere:
            suffix = f"; {', '.join(question.coming)} may still come" if question.coming else ""
            waiting[path] = Waiting("Unplaceable", f"{path} fits nowhere: {nowhere[path]}{suffix}")
    return Choice(
        decision=decision_of(snapshot, problem, moves, answer.told, _overdue(snapshot)) if moves else None,
        waiting=waiting,
        unplaced=tuple(Unplaced(path, why) for path, why in sorted(nowhere.items())),
        again=question.waits.again,
        problem=problem,
        rest=len(batched(moves)) > 1,
    )


def decision_of(
    snapshot: Snapshot, problem: Problem, moves: Mapping[str, str], kept: Told, why: str = ""
) -> DecisionSpec:
    """The decision to put parts on other sites; `why` is added to the reason. Of very many the rest comes with the next."""
    first = sorted(batched(moves)[0])
    current = {part.id: part.current for part in problem.parts}
    actions = tuple(_action(part, moves[part], current[part]) for part in first)
    told = ", ".join(f"{path_of(part)} {'to' if current[part] else 'on'} {moves[part]}" for part in first)
    why_there = {path_of(part): kept.explanations[part] for part in first if part in kept.explanations}
    if len(moves) == 1 and why_there:
        told += f": {next(iter(why_there.values()))['summary']}"
    return DecisionSpec(
        orchestration=snapshot.key[1], source="placement", reason=f"{_cut(told, 800)}{why}", actions=actions,
        explanation=why_there, replay=kept.replay,
    )  # fmt: skip


def _overdue(snapshot: Snapshot) -> str:
    external = (snapshot.declared.placement or PlacementSpec()).scheduler is Scheduler.EXTERNAL
    return "; the external scheduler did not decide in time" if external else ""


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _action(part: str, site: str, current: str | None) -> DecidedAction:
    op = Operation.PLACE_COMPONENT if current is None else Operation.MIGRATE_COMPONENT
    return DecidedAction(op=op, component=path_of(part), cluster=site, other=current)
