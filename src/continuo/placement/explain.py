"""Why a part is where it is, and why not elsewhere: computed from the problem and its answer, never remembered.

Bounded: of many candidates the winner and the best remain in full; of the others, how many each reason ruled out, and
examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from continuo.placement.model import Answer, Objectives, Part, Problem
from continuo.placement.reasons import Cause, Refusal
from continuo.placement.score import Yardstick, at, yardstick
from continuo.placement.tally import Tally, fixed

MOST, BEST, EXAMPLES = 64, 10, 3
FIELDS = ("latency", "cost", "carbon", "balance", "moves")


class Candidate(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One site, as a part that looks for a place sees it while everything else is where the answer puts it."""

    site: str
    refusals: tuple[Refusal, ...] = ()
    score: float | None = None
    """What the part adds there, lower being better; None where it may not be."""
    objectives: Objectives | None = None


class Ruled(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How many sites a reason ruled out first."""

    cause: Cause
    count: int
    examples: tuple[str, ...] = ()


class Explanation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Why a part is where it is."""

    part: str
    site: str | None = None
    summary: str
    """One sentence."""
    candidates: tuple[Candidate, ...] = ()
    """The winner first, then by score, then those that were ruled out, by name."""
    total: int = 0
    """How many sites there are; more than candidates where only the best are told."""
    ruled: tuple[Ruled, ...] = ()
    """All sites that were ruled out, by their first reason."""
    advantage: Objectives | None = None
    """By objective, how much less the winner adds than the best other; below 0 where it adds more."""
    runner_up: str | None = None


def explain(problem: Problem, answer: Answer, part_id: str) -> Explanation:
    """Why a part of the problem is where the answer puts it; raises KeyError for an id that is none of its parts."""
    return next(explain_each(problem, answer, (part_id,)))


def explain_each(problem: Problem, answer: Answer, part_ids: Iterable[str]) -> Iterator[Explanation]:
    """The same for several: what the others add up to is counted once."""
    tally, stick = Tally(problem, answer.places), yardstick(problem)
    for part_id in part_ids:
        owner = tally.parts[part_id].owner
        spent = list(tally.spent[owner])
        chosen = tally.take(part_id)
        yield _explained(problem, answer, tally, stick, part_id, chosen)
        if chosen is not None:
            tally.put(part_id, chosen)
            tally.spent[owner] = spent  # adding what was taken away would round it


def _explained(
    problem: Problem, answer: Answer, tally: Tally, stick: Yardstick, part_id: str, chosen: str | None
) -> Explanation:
    """Of a part that was taken from its place in the tally."""
    part = tally.parts[part_id]
    everything = [candidate(tally, stick, part_id, name) for name in sorted(tally.sites)]
    scored = [(each.site != chosen, each.score, each.site, each) for each in everything if each.score is not None]
    open_ = [each for *_, each in sorted(scored, key=lambda entry: entry[:3])]
    closed = [each for each in everything if each.score is None]
    winner = next((each for each in everything if each.site == chosen), None)
    second = next((each for each in open_ if each.site != chosen), None)
    advantage = None
    if winner is not None and winner.objectives is not None and second is not None and second.objectives is not None:
        advantage = difference(second.objectives, winner.objectives)
    told = _told(winner, open_, closed, len(everything))
    return Explanation(
        part=part_id,
        site=chosen,
        summary=_summary(problem, answer, part, winner, second, advantage),
        candidates=told,
        total=len(everything),
        ruled=_ruled(closed),
        advantage=advantage,
        runner_up=None if second is None else second.site,
    )


def candidate(tally: Tally, stick: Yardstick, part_id: str, site: str) -> Candidate:
    """One site for a part that has no place in the tally."""
    refusals = tuple(tally.refusals(part_id, site))
    if refusals:
        return Candidate(site=site, refusals=refusals)
    found = at(tally, stick, part_id, site)
    return Candidate(site=site, score=found.total, objectives=found)


def difference(more: Objectives, less: Objectives) -> Objectives:
    """By objective, how much the first is above the second."""
    return Objectives(**{name: getattr(more, name) - getattr(less, name) for name in FIELDS})


def _told(
    winner: Candidate | None, open_: list[Candidate], closed: list[Candidate], total: int
) -> tuple[Candidate, ...]:
    if total <= MOST:
        first = [winner] if winner is not None and winner.score is None else []
        return tuple([*first, *open_, *(each for each in closed if each is not winner)])
    return tuple([*([winner] if winner is not None else []), *[each for each in open_ if each is not winner][:BEST]])


def _ruled(closed: list[Candidate]) -> tuple[Ruled, ...]:
    by_cause: dict[Cause, list[str]] = {}
    for each in closed:
        by_cause.setdefault(each.refusals[0].cause, []).append(f"{each.site}: {each.refusals[0].message}")
    ranked = sorted(by_cause.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(Ruled(cause=cause, count=len(said), examples=tuple(said[:EXAMPLES])) for cause, said in ranked)


def _summary(
    problem: Problem,
    answer: Answer,
    part: Part,
    winner: Candidate | None,
    second: Candidate | None,
    advantage: Objectives | None,
) -> str:
    if fixed(problem, part):
        return f"it runs on {part.current}, and may not move now"
    if winner is None:
        return answer.unplaced.get(part.id, "it has no place")
    if second is None:
        return f"{winner.site} is the only cluster that can take it"
    if winner.score is None or advantage is None or second.score is None:
        return f"it is on {winner.site}, which would not take it now: {winner.refusals[0].message}"
    if winner.site == part.current and not problem.improve:
        return f"it runs on {winner.site} already, where it may be, and moves only where it must"
    if advantage.total < -1e-9:
        return (
            f"{second.site} would be {-advantage.total:.3g} better for it alone; the whole is better with {winner.site}"
        )
    if advantage.total <= 1e-9:
        return f"{winner.site} is as good as {second.site}, and comes first"
    return f"{winner.site} is {advantage.total:.3g} better than {second.site}: {tell(advantage, 'better', 'worse')}"


def tell(differences: Objectives, more: str, less: str) -> str:
    """`latency 0.4 better, cost 0.1 worse`: what differs, most first."""
    found = [(getattr(differences, name), name) for name in FIELDS]
    ranked = sorted(
        ((value, name) for value, name in found if abs(value) > 1e-9), key=lambda each: (-abs(each[0]), each[1])
    )
    return (
        ", ".join(f"{name} {abs(value):.3g} {more if value > 0 else less}" for value, name in ranked) or "all the same"
    )


def lines(explanation: Explanation) -> list[str]:
    """For a terminal."""
    found = [f"{explanation.part} -> {explanation.site or 'no place'}", f"  {explanation.summary}"]
    for each in explanation.candidates:
        mark = "*" if each.site == explanation.site else " "
        if each.score is not None and each.objectives is not None:
            parts = " ".join(
                f"{name} {getattr(each.objectives, name):.3g}" for name in FIELDS if getattr(each.objectives, name)
            )
            found.append(f"{mark} {each.site}  score {each.score:.3g}  {parts}".rstrip())
        else:
            found.append(f"{mark} {each.site}  no: {'; '.join(refusal.message for refusal in each.refusals)}")
    hidden = explanation.total - len(explanation.candidates)
    if hidden > 0:
        found.append(f"  and {hidden} more:")
        for ruled in explanation.ruled:
            found.append(f"    {ruled.count} by {ruled.cause}, such as {ruled.examples[0]}")
    return found
