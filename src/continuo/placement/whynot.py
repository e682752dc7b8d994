"""Why a part is not on one site: the first reason that holds, what would have to move, or by how much it is worse."""

from __future__ import annotations

from continuo.placement.explain import candidate, difference, tell
from continuo.placement.model import Answer, Problem
from continuo.placement.reasons import Cause, Refusal
from continuo.placement.score import RESOURCES, yardstick
from continuo.placement.tally import Tally, fixed

MOST_MOVERS = 3


def why_not(problem: Problem, answer: Answer, part_id: str, site: str) -> str:
    """One sentence; raises KeyError for a part or a site that is none of the problem's."""
    tally = Tally(problem, answer.places)
    part, _ = tally.parts[part_id], tally.sites[site]
    chosen = tally.take(part_id)
    if chosen == site:
        return f"it is on {site}"
    if fixed(problem, part):
        return f"it runs on {chosen}, and may not move now"
    there = candidate(tally, yardstick(problem), part_id, site)
    if there.refusals:
        return f"{site}: {there.refusals[0].message}{_movers(tally, part_id, site, there.refusals)}"
    if chosen is None or chosen not in tally.sites:
        return f"it would be possible on {site} as things stand now"
    here = candidate(tally, yardstick(problem), part_id, chosen)
    if here.objectives is None or there.objectives is None:
        return f"it would be possible on {site}; it is on {chosen}, where it was put first"
    apart = difference(there.objectives, here.objectives)
    figures = f"score {there.objectives.total:.3g} against {here.objectives.total:.3g} on {chosen}"
    return f"it would have been possible, {figures}: {tell(apart, 'worse', 'better')}"


def _movers(tally: Tally, part_id: str, site: str, refusals: tuple[Refusal, ...]) -> str:
    """Who would have to leave, where nothing but room is wrong."""
    if any(refusal.cause not in (Cause.CPU, Cause.MEMORY, Cause.GPU) for refusal in refusals):
        return ""
    wanted, free, load = tally.parts[part_id].room, tally.sites[site].free, tally.load[site]
    lacking = {name: getattr(load, name) + getattr(wanted, name) - getattr(free, name) for name in RESOURCES}
    lacking = {name: count for name, count in lacking.items() if count > 0 and getattr(wanted, name) > 0}
    here = [tally.parts[other] for other, place in sorted(tally.places.items()) if place == site]
    gone: list[str] = []
    for other in sorted(here, key=lambda other: (-sum(getattr(other.room, n) / lacking[n] for n in lacking), other.id)):
        if any(lacking[name] > 0 for name in lacking) and not fixed(tally.problem, other):
            gone.append(other.id)
            lacking = {name: count - getattr(other.room, name) for name, count in lacking.items()}
    if any(count > 0 for count in lacking.values()):
        return "; it would not fit even if everything that may move were elsewhere"
    named = ", ".join(gone[:MOST_MOVERS]) + (f" and {len(gone) - MOST_MOVERS} more" if len(gone) > MOST_MOVERS else "")
    return f"; {named} would have to move for it"
