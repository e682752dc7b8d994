"""Move components off a cluster that failed or that is cordoned, and bring them home when it is back.

A home is remembered with every move, so what was pinned is pinned again. Nothing moves faster than `moves-per-minute`,
and what fits nowhere else stays where it is and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from continuo.orchestrator.loops.model import ClusterView, ComponentView, Found, LoopInput, LoopOutput
from continuo.orchestrator.loops.policies import outages, room
from continuo.placement.linking import severed
from continuo.resources.loop import DecidedAction, Operation
from continuo.resources.orchestration import AppSpec, LoopStage
from continuo.resources.orchestration_policies import Failover
from continuo.resources.selectors import selects


@dataclass(slots=True)
class Draft:
    """What one look gathers."""

    given: LoopInput
    loop: Failover
    watched: Mapping[str, ClusterView]
    since: Mapping[str, datetime]
    actions: list[DecidedAction] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    looks: list[datetime] = field(default_factory=list)


def fail_over(given: LoopInput, loop: Failover) -> LoopOutput:
    """Away from what failed first, then home; what is too much for this minute in the next."""
    watched = {
        c.name: c for c in given.clusters.values() if c.spec is not None and selects(loop.clusters, c.spec.labels)
    }
    since = outages.since(given.clusters.values(), given.memory.since, given.now)
    draft = Draft(given, loop, watched, since)
    _leave(draft)
    if loop.return_home:
        _return(draft)
    left, again = outages.moves_left(given.history, given.now, loop.moves_per_minute)
    chosen, later = draft.actions[:left], draft.actions[left:]
    if later:
        draft.told.append(f"{_count(later, 'more move')} later: {loop.moves_per_minute} a minute")
        draft.looks.append(again or given.now + timedelta(minutes=1))
    return LoopOutput(
        LoopStage.DECIDE if draft.actions else LoopStage.ORIENT,
        _observation(draft),
        tuple(chosen),
        "; ".join(dict.fromkeys(draft.reasons)) if chosen else "",
        min(draft.looks, default=None),
        "; ".join(dict.fromkeys(draft.told)),
        {"since": {key: at.isoformat() for key, at in sorted(since.items()) if key.startswith("ill:")}},
        replace(given.memory, started=given.memory.started or given.now, since=since),
    )


# --- away ----------------------------------------------------------------------------------------------------------------


def _leave(draft: Draft) -> None:
    """Everything on clusters that have been ill for long enough, to wherever placement finds room."""
    failed = [name for name in sorted(draft.watched) if _failed(draft, draft.watched[name])]
    if not failed:
        return
    moving = [c for name in failed for c in _on(draft.given, name)]
    found, targets = _found(draft, failed, moving)
    by_app: dict[str, list[DecidedAction]] = {}
    for component in moving:
        target = found.places.get(component.path)
        if target is None:
            why = found.unplaced.get(component.path, "no other cluster has room for it")
            draft.told.append(f"{component.path} stays on {component.cluster}: {why}")
            continue
        home = component.home or component.cluster
        by_app.setdefault(component.app.name, []).append(
            _move(component, target, home if home != target else None)
        )  # fmt: skip
    homes = _homes(draft, targets)
    for app in sorted({*by_app, *homes}):
        draft.actions += [*homes.get(app, ()), *by_app.get(app, ())]


def _found(draft: Draft, failed: Iterable[str], moving: Iterable[ComponentView]) -> tuple[Found, dict[str, str | None]]:
    """Places for what moves, and homes for applications whose home is lost: the places say the home, and it the places.

    So they are looked for twice where the home that follows from the first places cannot be linked with all of them.
    """
    given = draft.given
    paths = [component.path for component in moving]
    avoid = frozenset(c.name for c in given.clusters.values() if not room.well(c))
    lost = {name for name in failed if draft.watched[name].lost_since is not None}
    homeless = [app for app in _apps(given) if app.cluster in lost]
    if not homeless:
        return given.place(paths, avoid), {}
    found = given.place(paths, avoid, {app.name: "" for app in homeless})
    targets = {app.name: _new_home(given, app, found.places) for app in homeless}
    if any(_apart(given, target, found.places.get(c.path)) for c in moving if (target := targets.get(c.app.name))):
        found = given.place(paths, avoid, {name: target or "" for name, target in targets.items()})
    return found, targets


def _apart(given: LoopInput, one: str, other: str | None) -> bool:
    """Whether two clusters cannot be linked."""
    ends = given.clusters.get(one), given.clusters.get(other or "")
    return ends[0] is not None and ends[1] is not None and bool(severed(ends[0], ends[1]))


def _failed(draft: Draft, cluster: ClusterView) -> bool:
    """Whether what is on it has to leave now; when it has to leave later, that is told."""
    ill = outages.trouble(cluster)
    lost_home = cluster.lost_since is not None and any(app.cluster == cluster.name for app in _apps(draft.given))
    if not ill or not (lost_home or _on(draft.given, cluster.name)):
        return False
    due = draft.since[f"ill:{cluster.name}"] + timedelta(seconds=draft.loop.after)
    if draft.given.now < due:
        draft.looks.append(due)
        draft.told.append(f"{cluster.name} {ill}: components leave it from {_clock(due)} on")
        return False
    draft.reasons.append(f"{cluster.name} {ill} for {draft.loop.after} s or more")
    return True


def _homes(draft: Draft, targets: Mapping[str, str | None]) -> dict[str, list[DecidedAction]]:
    """Other homes for applications whose home does not answer: their objects can be changed only there."""
    found: dict[str, list[DecidedAction]] = {}
    for app in _apps(draft.given):
        if app.name not in targets:
            continue
        target = targets[app.name]
        if target is None:
            draft.told.append(
                f"application {app.name} keeps its home {app.cluster}: none of its components has another place"
            )
            continue
        home = next((entry.home for entry in draft.given.adjustment.homes if entry.app == app.name), app.cluster)
        action = DecidedAction(
            op=Operation.MOVE_HOME, app=app.name, cluster=target, other=app.cluster,
            home=home if home != target else None,
        )  # fmt: skip
        found[app.name] = [action]
    return found


def _new_home(given: LoopInput, app: AppSpec, places: Mapping[str, str]) -> str | None:
    """The cluster that will run most of its components; of several one that was declared, then by name.

    First of all one that can be linked with as many as possible of those clusters where components stay.
    """
    counts: Counter[str] = Counter()
    staying: Counter[str] = Counter()
    for component in given.components.values():
        where = places.get(component.path, component.cluster)
        cluster = given.clusters.get(where) if where else None
        if component.app.name == app.name and cluster is not None and room.well(cluster):
            counts[cluster.name] += 1
            staying[cluster.name] += component.path not in places
    cut = {name: sum(count for other, count in staying.items() if _apart(given, name, other)) for name in counts}
    order = sorted(counts, key=lambda name: (cut[name], -counts[name], given.clusters[name].policy is not None, name))
    return order[0] if order else None


# --- back ----------------------------------------------------------------------------------------------------------------


def _return(draft: Draft) -> None:
    """Everything whose home has been well for long enough and has room for it."""
    going = {(action.component, action.app) for action in draft.actions}
    for name in sorted(draft.watched):
        guests = [c for c in _away_from(draft.given, name) if (c.path, None) not in going]
        homes = [e for e in draft.given.adjustment.homes if e.home == name and (None, e.app) not in going]
        if not (guests or homes):
            continue
        gap = _gap(draft.given, [entry.app for entry in homes])
        if not _is_back(draft, name):
            draft.told += gap
            continue
        draft.reasons += gap
        draft.actions += [
            DecidedAction(op=Operation.MOVE_HOME, app=entry.app, cluster=name, other=entry.cluster) for entry in homes
        ]
        draft.actions += _fitting(draft, name, guests)


def _gap(given: LoopInput, apps: Iterable[str]) -> list[str]:
    """What is said of applications that cannot move home without a gap: Liqo has made namespaces of the same name of them."""
    found = []
    for app in apps:
        where = sorted({c.cluster for c in given.components.values() if c.app.name == app and c.cluster})
        if len(where) > 1:
            found.append(
                f"application {app} does not answer for a while when its home moves, for it has parts on "
                f"{' and '.join(where)}; `approval: required` or `return-home: false` leave it to you when, or whether"
            )
    return found


def _is_back(draft: Draft, name: str) -> bool:
    since = draft.since.get(f"well:{name}")
    if since is None:
        return False
    wait = outages.wait(draft.given.history, name, draft.given.now, draft.loop.return_after)
    if draft.given.now < since + wait:
        draft.looks.append(since + wait)
        draft.told.append(f"{name} is well again: components go home from {_clock(since + wait)} on")
        return False
    draft.reasons.append(f"{name} has been well for {int(wait.total_seconds())} s")
    return True


def _fitting(draft: Draft, name: str, guests: Iterable[ComponentView]) -> list[DecidedAction]:
    capacity = draft.given.clusters[name].capacity
    free = room.free(capacity) if capacity is not None else None
    found = []
    for component in guests:
        if free is not None and (lack := room.lacking(component.total, free)):
            draft.told.append(f"{component.path} stays on {component.cluster}: {name} has no room for it ({lack})")
            continue
        free = free - component.total if free is not None else None
        found.append(_move(component, name, None))
    return found


# --- what both ask -------------------------------------------------------------------------------------------------------


def _move(component: ComponentView, target: str, home: str | None) -> DecidedAction:
    return DecidedAction(
        op=Operation.MIGRATE_COMPONENT, component=component.path, cluster=target, other=component.cluster, home=home
    )


def _on(given: LoopInput, cluster: str) -> list[ComponentView]:
    return sorted((c for c in given.components.values() if c.cluster == cluster), key=lambda c: c.path)


def _away_from(given: LoopInput, home: str) -> list[ComponentView]:
    found = (c for c in given.components.values() if c.home == home and c.cluster != home)
    return sorted(found, key=lambda c: c.path)


def _apps(given: LoopInput) -> list[AppSpec]:
    return sorted({c.app.name: c.app for c in given.components.values()}.values(), key=lambda app: app.name)


def _observation(draft: Draft) -> str:
    """What it saw, without anything that changes by itself, so that nothing is written while nothing happens."""
    ill = [
        f"{name} {said} since {_clock(draft.since[f'ill:{name}'])}"
        for name in sorted(draft.watched)
        if (said := outages.trouble(draft.watched[name]))
    ]
    away = [c.path for c in draft.given.components.values() if c.home in draft.watched]
    well = f"{_count(draft.watched, 'cluster')} watched, none ill" if not ill else ", ".join(ill)
    return f"{well}; {_count(away, 'component')} away from home" if away else well


def _count(things: Iterable[object], noun: str) -> str:
    number = len(list(things))
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%S UTC")
