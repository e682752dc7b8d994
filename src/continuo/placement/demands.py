"""What a part demands of a site whatever else is placed: availability, pin, tier, labels, location, a possible link home.

Each demand has a key: parts share most of theirs, so a thousand parts on a thousand sites cost a few thousand tests.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass

from continuo.placement.linking import severed
from continuo.placement.model import Part, Site
from continuo.placement.reasons import Cause, Refusal
from continuo.resources.orchestration_places import Domain, LocationTerm
from continuo.resources.selectors import LabelSelector, Operator, Requirement, selects


@dataclass(frozen=True, slots=True)
class Demand:
    """One demand: a test, and what is said of a site that fails it."""

    cause: Cause
    key: Hashable
    """Demands of the same key fail on the same sites."""
    test: Callable[[Site], bool]
    say: Callable[[Site], str]


def domain_of(site: Site, across: Domain) -> str | None:
    """The domain that a site is in, or None where nobody says."""
    value: str | None = site.name if across is Domain.CLUSTER else getattr(site, across.value)
    return value


def demands(part: Part, sites: Mapping[str, Site]) -> Iterator[Demand]:
    """All that a part demands, in the order in which reasons are told; `sites` are those of the problem, by name."""
    yield _AVAILABLE
    if part.pinned is not None:
        yield _pin(part.pinned)
    if part.hint is not None:
        yield _hint(part.hint.lower())
    for key, value in sorted(part.labels.match_labels.items()):
        yield _label(key, value)
    for term in part.labels.match_expressions:
        yield _term(term)
    if part.locations:
        yield _locations(part.locations)
    if part.spread_group is not None and part.spread_across is not Domain.CLUSTER:
        yield _domain(part.spread_across)
    root = sites.get(part.root) if part.root is not None else None
    if root is not None and part.pinned is None:  # who pins it has said so
        yield _linkable(part, root)


def refused(part: Part, site: Site, sites: Mapping[str, Site]) -> Refusal | None:
    """The first demand that the site fails, or None."""
    failing = next((demand for demand in demands(part, sites) if not demand.test(site)), None)
    return None if failing is None else Refusal(failing.cause, failing.say(site))


_AVAILABLE = Demand(
    Cause.UNAVAILABLE, "available", lambda site: site.available, lambda site: site.reason or "it is not available"
)


def _pin(name: str) -> Demand:
    return Demand(Cause.PINNED, ("pin", name), lambda site: site.name == name, lambda _: f"the component is on {name}")


def _hint(tier: str) -> Demand:
    return Demand(
        Cause.HINT,
        ("hint", tier),
        lambda site: site.tier == tier,
        lambda site: f"tier {site.tier or 'not said'}, and {tier} is wanted",
    )


def _label(key: str, value: str) -> Demand:
    def say(site: Site) -> str:
        held = f"label {key} is {site.labels[key]!r}" if key in site.labels else f"has no label {key}"
        return f"{held}, and {value!r} is wanted"

    return Demand(Cause.LABELS, ("label", key, value), lambda site: site.labels.get(key) == value, say)


def _term(term: Requirement) -> Demand:
    selector = LabelSelector(match_expressions=(term,))
    wanted = {
        Operator.EXISTS: "any value is wanted",
        Operator.DOES_NOT_EXIST: "it must not have it",
        Operator.IN: f"one of {', '.join(term.values)} is wanted",
        Operator.NOT_IN: f"none of {', '.join(term.values)} is wanted",
    }[term.operator]

    def say(site: Site) -> str:
        held = site.labels.get(term.key)
        return f"{f'has no label {term.key}' if held is None else f'label {term.key} is {held!r}'}, and {wanted}"

    key = ("term", term.key, term.operator, term.values)
    return Demand(Cause.LABELS, key, lambda site: selects(selector, site.labels), say)


_FIELDS = ("country", "region", "city", "datacenter")


def _stands(site: Site, term: LocationTerm) -> bool:
    pairs = ((getattr(term, field), getattr(site, field)) for field in _FIELDS)
    return all(wanted is None or (is_ or "").casefold() == wanted.casefold() for wanted, is_ in pairs)


def _locations(terms: tuple[LocationTerm, ...]) -> Demand:
    wanted = " or ".join(_where(term) or "anywhere" for term in terms)

    def say(site: Site) -> str:
        return f"stands in {_where(site) or 'a place that nobody says'}, and {wanted} is wanted"

    key = ("locations", tuple(tuple(getattr(term, field) for field in _FIELDS) for term in terms))
    return Demand(Cause.LOCATION, key, lambda site: any(_stands(site, term) for term in terms), say)


def _where(place: Site | LocationTerm) -> str:
    named = ((field, getattr(place, field)) for field in _FIELDS)
    return ", ".join(f"{field} {value}" for field, value in named if value is not None)


def _domain(across: Domain) -> Demand:
    return Demand(
        Cause.SPREAD,
        ("domain", across),
        lambda site: domain_of(site, across) is not None,
        lambda _: f"nobody says its {across}, and the component is spread across those",
    )


def _linkable(part: Part, root: Site) -> Demand:
    application = part.id.rpartition("/")[0].rpartition("/")[2] or "its application"
    said = f"it cannot be linked with {root.name}, the home of {application}"
    return Demand(
        Cause.LINK,
        ("linkable", root.name),
        lambda site: not severed(site, root),
        lambda site: f"{said}: {severed(site, root)}",
    )
