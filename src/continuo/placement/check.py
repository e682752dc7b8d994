"""Whether places keep every promise: asked of the heuristic's answers in tests, and of the exact solver's before use."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from continuo.placement.model import Problem
from continuo.placement.reasons import Cause, Refusal
from continuo.placement.tally import Tally, fixed


class Violation(Struct, frozen=True, rename="camel"):
    """A promise to a part that is broken where it was placed."""

    part: str
    site: str
    cause: Cause
    message: str


def check(problem: Problem, places: Mapping[str, str], only: Collection[str] | None = None) -> tuple[Violation, ...]:
    """What is wrong with places (site by part id); parts without one are not looked at, only missed by others.

    With `only` those parts are looked at, and the others are where they are.

    What may not move is never wrong itself: others have to live with it.
    """
    known = {part.id for part in problem.parts}
    strange = [Violation(part, places[part], Cause.UNAVAILABLE, "no such part") for part in sorted(set(places) - known)]
    tally = Tally(problem, {part: site for part, site in places.items() if part in known})
    found = list(strange)
    for part in sorted((p for p in problem.parts if only is None or p.id in only), key=lambda part: part.id):
        site = places.get(part.id)
        if fixed(problem, part):
            if site != part.current:
                found.append(Violation(part.id, site or "", Cause.FIXED, f"it may not leave {part.current}"))
        elif site is not None and site not in tally.sites:
            found.append(Violation(part.id, site, Cause.UNAVAILABLE, "there is no such cluster"))
        elif site is not None:
            found += [Violation(part.id, site, each.cause, each.message) for each in _wrong(tally, part.id, site)]
    return tuple(found)


def _wrong(tally: Tally, part_id: str, site: str) -> list[Refusal]:
    tally.take(part_id)
    wrong = list(tally.refusals(part_id, site))
    tally.put(part_id, site)
    return wrong
