"""Which components need a place, where they go, and what is said of those that get none. Pure.

What runs stays: a component is asked about when it has no place, when its declaration no longer allows the one that it has,
or when its cluster is too full for it. Clusters that fail are `failover`'s; a path that became slower moves nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import json, to_builtins
from msgspec.structs import replace

from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.loops.enact import moment
from continuo.orchestrator.loops.model import Found, Placer, Unplaced
from continuo.orchestrator.observe import Reach, Snapshot, Waiting
from continuo.orchestrator.placing.problem import grounds_of, part_id, path_of, problem_of
from continuo.orchestrator.settings import Settings
from continuo.placement.check import check
from continuo.placement.model import Answer, Problem
from continuo.placement.reasons import Cause
from continuo.placement.tally import Tally
from continuo.resources.loop import LARGEST_REPLAY, MAX_ACTIONS, DecidedAction, DecisionSpec, Operation
from continuo.resources.orchestration import PlacementSpec
from continuo.resources.orchestration_policies import Scheduler

_DECLARED = frozenset({Cause.PINNED, Cause.HINT, Cause.LABELS, Cause.LOCATION, Cause.BESIDE, Cause.APART, Cause.SPREAD})
_ROOM = frozenset({Cause.CPU, Cause.MEMORY, Cause.GPU})
TOLD, EXPLAINED = 8, 64
"""So many clusters are named in a reason, and so many components explained in one decision."""
LARGEST_EXPLANATION = 400_000
"""Bytes: with what is kept for a replay, it has to fit into one object."""
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


def place(problem: Problem) -> Answer:
    """The heuristic's answer; what it counts with is loaded when something is placed for the first time."""
    from continuo.placement.heuristic import place as heuristic

    return heuristic(problem)


def places_anything(snapshot: Snapshot) -> bool:
    """Whether any component leaves the choice."""
    return any(c.placement is not None for app in snapshot.declared.apps for c in app.components)


def placer(snapshot: Snapshot, assessment: Assessment) -> Placer:
    """Finds room for components with nothing else moved."""
    grounds = grounds_of(snapshot, assessment)

    def find(paths: Iterable[str], avoid: frozenset[str]) -> Found:
        problem = problem_of(
            snapshot.key, snapshot.orchestration.spec, snapshot.adjustment, grounds, assessment.figures,
            movable=paths, avoid=avoid,
        )  # fmt: skip
        answer, wanted = place(problem), {part_id(snapshot.key, path) for path in paths}
        told = unplaced_of(problem, answer)
        return Found(
            {path_of(part): site for part, site in answer.places.items() if part in wanted},
            {path_of(part): why for part, why in told.items() if part in wanted},
        )

    return find


def whole_problem(snapshot: Snapshot, assessment: Assessment, movable: Iterable[str] | None) -> Problem:
    """The problem of everything, in which only those components may move (None: all that leave the choice)."""
    return problem_of(
        snapshot.key, snapshot.orchestration.spec, snapshot.adjustment, grounds_of(snapshot, assessment),
        assessment.figures, movable=movable,
    )  # fmt: skip


def unplaced_of(problem: Problem, answer: Answer) -> dict[str, str]:
    """Why parts got no place, by part: of every cluster the first reason."""
    missing = [part.id for part in problem.parts if part.id not in answer.places]
    tally = Tally(problem, answer.places) if missing else None
    few = len(problem.sites) <= TOLD
    return {
        part: _nowhere(tally, part) if few or part not in answer.unplaced else answer.unplaced[part]
        for part in missing
        if tally is not None
    }


def _nowhere(tally: Tally, part: str) -> str:
    told = []
    for site in sorted(tally.sites):
        refusal = next(iter(tally.refusals(part, site)), None)
        told.append(f"{site}: {refusal.message if refusal is not None else 'others need its room more'}")
    return "; ".join(told) or "there is no cluster"


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
    """Place what has to be placed. `first_seen` says since when each component has waited."""
    found = open_parts(snapshot, whole_problem(snapshot, assessment, ()))
    if not found.paths:
        return Choice()
    if snapshot.declared.paused:
        return _told(found, "Paused", "the orchestration is paused: nothing is placed")
    coming = _coming(snapshot, assessment)
    if found.without and coming and (until := _patience(snapshot, settings, now)) > now:
        told = f"waiting for {', '.join(coming)} to come up before it is placed"
        return _told(found, "Placing", told, again=until)
    waits, asked = _external(snapshot, found, now, first_seen)
    if not asked:
        return waits
    problem = whole_problem(snapshot, assessment, asked)
    answer = place(problem)
    return _answered(snapshot, found, problem, answer, waits, coming)


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


def _answered(
    snapshot: Snapshot, found: Open, problem: Problem, answer: Answer, waits: Choice, coming: list[str]
) -> Choice:
    current = {part.id: part.current for part in problem.parts}
    ours = {part: path_of(part) for part in problem.movable or ()}
    moves = {part: site for part, site in answer.places.items() if part in ours and current[part] != site}
    nowhere = {ours[part]: why for part, why in unplaced_of(problem, answer).items() if part in ours}
    nowhere |= {
        ours[part]: found.misplaced[ours[part]]
        for part, site in answer.places.items()
        if part in ours and current[part] == site and ours[part] in found.misplaced
    }
    waiting = dict(waits.waiting)
    for path in found.without:
        if path in nowhere:
            suffix = f"; {', '.join(coming)} may still come" if coming else ""
            waiting[path] = Waiting("Unplaceable", f"{path} fits nowhere: {nowhere[path]}{suffix}")
    return Choice(
        decision=decision_of(snapshot, problem, answer, moves, _overdue(snapshot)) if moves else None,
        waiting=waiting,
        unplaced=tuple(Unplaced(path, why) for path, why in sorted(nowhere.items())),
        again=waits.again,
        problem=problem,
    )


def decision_of(
    snapshot: Snapshot, problem: Problem, answer: Answer, moves: Mapping[str, str], why: str = ""
) -> DecisionSpec:
    """The decision to put parts on other sites; `why` is added to the reason. Of very many the rest comes with the next."""
    moves = dict(sorted(moves.items())[:MAX_ACTIONS])
    current = {part.id: part.current for part in problem.parts}
    actions = tuple(_action(part, site, current[part]) for part, site in sorted(moves.items()))
    told = ", ".join(
        f"{path_of(part)} {'to' if current[part] else 'on'} {site}" for part, site in sorted(moves.items())
    )
    why_there = explained(problem, answer, moves)
    if len(moves) == 1 and why_there:
        told += f": {next(iter(why_there.values()))['summary']}"
    return DecisionSpec(
        orchestration=snapshot.key[1], source="placement", reason=f"{_cut(told, 800)}{why}", actions=actions,
        explanation=why_there, replay=packed(problem),
    )  # fmt: skip


def _overdue(snapshot: Snapshot) -> str:
    external = (snapshot.declared.placement or PlacementSpec()).scheduler is Scheduler.EXTERNAL
    return "; the external scheduler did not decide in time" if external else ""


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _action(part: str, site: str, current: str | None) -> DecidedAction:
    op = Operation.PLACE_COMPONENT if current is None else Operation.MIGRATE_COMPONENT
    return DecidedAction(op=op, component=path_of(part), cluster=site, other=current)


def explained(problem: Problem, answer: Answer, parts: Iterable[str]) -> dict[str, Any]:
    """What was weighed for each of the parts, as JSON, by component."""
    from continuo.placement.explain import explain

    found: dict[str, Any] = {}
    left = LARGEST_EXPLANATION
    for part in sorted(parts)[:EXPLAINED]:
        told = explain(problem, answer, part)
        left -= len(json.encode(told))
        if left < 0:
            break
        found[path_of(part)] = to_builtins(told)
    return found


def weighed(snapshot: Snapshot, assessment: Assessment, moves: Mapping[str, str]) -> dict[str, Any]:
    """What there was to weigh for components that somebody else moves to the clusters of `moves`."""
    problem = whole_problem(snapshot, assessment, moves)
    places = {part.id: part.current for part in problem.parts if part.current is not None}
    places |= {part_id(snapshot.key, path): cluster for path, cluster in moves.items()}
    return explained(problem, Answer(places=places), [part_id(snapshot.key, path) for path in moves])


def packed(problem: Problem) -> str | None:
    """The whole input, so that it can be computed again; None where it is too large to be kept."""
    from continuo.placement.replay import pack

    text = pack(problem)
    return text if len(text) <= LARGEST_REPLAY else None
