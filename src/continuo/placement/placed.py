"""An answer with all that is said of it, from the problem alone: so that it can be computed wherever there is time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from msgspec import Struct, json

from continuo.placement.explain import explain_each
from continuo.placement.model import Answer, Problem
from continuo.placement.replay import pack
from continuo.placement.tally import Tally
from continuo.resources.loop import LARGEST_REPLAY, MAX_ACTIONS

TOLD, EXPLAINED = 8, 64
"""So many clusters are named in a reason, and so many components explained in one decision."""
LARGEST_EXPLANATION = 400_000
"""Bytes: with what is kept for a replay, it has to fit into one object."""


class Told(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept with a decision."""

    explanations: dict[str, Any] = {}
    """By part: what was weighed, as JSON."""
    replay: str | None = None
    """The whole input, so that it can be computed again; None where it is too large to be kept."""


class Placed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A heuristic's answer and what is said of it."""

    answer: Answer
    nowhere: dict[str, str] = {}
    """By part without a place: of every cluster the first reason."""
    told: Told = Told()


def placed(problem: Problem, *, tell: bool = True) -> Placed:
    """The heuristic's answer; with `tell` also what its decisions keep. Loads numpy."""
    from continuo.placement.heuristic import place

    answer = place(problem)
    told = tell_of(problem, answer, moves_of(problem, answer)) if tell else Told()
    return Placed(answer=answer, nowhere=nowhere(problem, answer), told=told)


def moves_of(problem: Problem, answer: Answer) -> dict[str, str]:
    """Site by part that was asked about and gets another one, or its first."""
    current = {part.id: part.current for part in problem.parts if problem.movable is None or part.id in problem.movable}
    return {part: site for part, site in sorted(answer.places.items()) if part in current and current[part] != site}


def tell_of(problem: Problem, answer: Answer, parts: Iterable[str]) -> Told:
    """What is kept with the decisions to put those parts where the answer has them."""
    found: dict[str, Any] = {}
    if batches := batched(parts):
        for batch in batches:
            found |= explained(problem, answer, batch)
        return Told(explanations=found, replay=packed(problem))
    return Told()


def batched(parts: Iterable[str], most: int = MAX_ACTIONS) -> list[list[str]]:
    """Parts as decisions take them: as many as one may have, and an application in one piece where that is possible.

    What parts ask of each other ends with the application, so what is not decided yet breaks nothing that is.
    """
    found: list[list[str]] = []
    for _, members in groupby(sorted(parts, key=_application), _application):
        group = list(members)
        if not found or len(found[-1]) + len(group) > most:
            found.append([])
        for part in group:
            if len(found[-1]) == most:
                found.append([])
            found[-1].append(part)
    return found


def _application(part: str) -> tuple[str, ...]:
    return tuple(part.split("/")[:-1])


def explained(problem: Problem, answer: Answer, parts: Iterable[str]) -> dict[str, Any]:
    """What was weighed for each of the parts, as JSON; of very many the first."""
    found: dict[str, Any] = {}
    left = LARGEST_EXPLANATION
    for each in explain_each(problem, answer, sorted(parts)[:EXPLAINED]):
        text = json.encode(each)
        left -= len(text)
        if left < 0:
            break
        found[each.part] = json.decode(text)
    return found


def packed(problem: Problem) -> str | None:
    """The problem as text, where it can be kept."""
    text = pack(problem)
    return text if len(text) <= LARGEST_REPLAY else None


def nowhere(problem: Problem, answer: Answer) -> dict[str, str]:
    """Why parts got no place, by part: of every cluster the first reason."""
    missing = [part.id for part in problem.parts if part.id not in answer.places]
    if not missing:
        return {}
    tally, few = Tally(problem, answer.places), len(problem.sites) <= TOLD
    return {part: _of_each(tally, part) if few else _of_all(tally, part, answer.unplaced) for part in missing}


def _of_all(tally: Tally, part: str, said: Mapping[str, str]) -> str:
    return said[part] if part in said else _of_each(tally, part)


def _of_each(tally: Tally, part: str) -> str:
    told = []
    for site in sorted(tally.sites):
        refusal = next(iter(tally.refusals(part, site)), None)
        told.append(f"{site}: {refusal.message if refusal is not None else 'others need its room more'}")
    return "; ".join(told) or "there is no cluster"
