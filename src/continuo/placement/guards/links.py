"""Linking clusters, and taking links away."""

from __future__ import annotations

from continuo.placement.guards.components import unknown_cluster
from continuo.placement.guards.model import Code, Limits, Rejection, State, pair
from continuo.placement.linking import severed
from continuo.resources.loop import DecidedAction


def may_link(state: State, action: DecidedAction, limits: Limits) -> Rejection | None:
    """Whether two clusters may be linked."""
    one, other = str(action.cluster), str(action.other)
    if one == other:
        return Rejection(Code.LINK_TO_ITSELF, f"{one} cannot be linked to itself: name two clusters")
    for name in (one, other):
        if name not in state.clusters:
            return unknown_cluster(state, name)
        if state.clusters[name].simulated:
            return Rejection(Code.CLUSTER_SIMULATED, f"{name} has machines in name only: it cannot be linked")
        if (told := state.told.get(name)) is not None and told.lost_since is not None:
            return Rejection(Code.CLUSTER_LOST, f"{name} has not answered since {told.lost_since}: it cannot be linked")
    ends = [site for site in state.problem.sites if site.name in (one, other)]
    if len(ends) == 2 and (why := severed(*ends)):
        return Rejection(Code.UNLINKABLE, f"{one} and {other} cannot be linked: {why}")
    if pair(one, other) in state.links:
        return Rejection(Code.LINK_EXISTS, f"{one} and {other} are linked already")
    if len(state.links) >= limits.links:
        return Rejection(Code.TOO_MANY_LINKS, f"{len(state.links)} links exist, the most one orchestration may have")
    return None


def may_unlink(state: State, action: DecidedAction) -> Rejection | None:
    """Whether a link may go: only where no application spans its ends."""
    one, other = str(action.cluster), str(action.other)
    if one == other:
        return Rejection(Code.LINK_TO_ITSELF, f"{one} has no link to itself: name two clusters")
    for name in (one, other):
        if name not in state.clusters:
            return unknown_cluster(state, name)
    if pair(one, other) not in state.links:
        return Rejection(Code.LINK_UNKNOWN, f"there is no link between {one} and {other}")
    spanning = _spanning(state, one, other)
    if spanning:
        return Rejection(Code.LINK_IN_USE, f"{', '.join(spanning[:3])} needs the link between {one} and {other}")
    return None


def _spanning(state: State, one: str, other: str) -> list[str]:
    """The applications that have their home at one end and a component at the other."""
    found = []
    for app in state.carried.apps:
        parts = (f"{app.name}/{component.name}" for component in app.components)
        places = {app.cluster, *(state.places.get(state.part(path)) for path in parts)}
        if app.cluster in (one, other) and {one, other} <= places:
            found.append(f"application {app.name}")
    return found
