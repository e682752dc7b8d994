"""What applications ask of the network between their components, against what is measured of it. Pure.

It looks at a status alone, whose figures change only when they are worth it; so what is said of a breach is as calm.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

from continuo.orchestrator import naming
from continuo.orchestrator.measuring.figures import Figures, LinkFigures, Pair, figures_of_status
from continuo.placement.reasons import milliseconds, rate
from continuo.resources.meta import Object
from continuo.resources.orchestration import LinkPhase, LinkRequirement, LinkStatus, Spec

MISSED = "RequirementMissed"
"""The reason of a component that runs, over a link that gives less than its application asks for."""


def tell_breaches(spec: Spec, apps: Iterable[Object], links: Iterable[Object], now: datetime.datetime) -> None:
    """Say so of every component in `status.apps` that runs and of which there is nothing else to be said."""
    figures = figures_of_status((_status(link) for link in links), now.timestamp())
    asked = {app.name: app.link_requirements for app in spec.apps}
    for app in apps:
        components = {entry["name"]: entry for entry in app.get("components") or ()}
        places = {name: entry["cluster"] for name, entry in components.items() if entry.get("cluster")}
        for name, told in _missed(asked.get(app["name"], ()), places, figures):
            entry = components[name]
            if entry["phase"] == "Running" and not entry.get("message"):
                entry["reason"], entry["message"] = MISSED, told


def _status(link: Object) -> LinkStatus:
    return LinkStatus(
        clusters=(link["clusters"][0], link["clusters"][1]), phase=LinkPhase(link["phase"]), latency=link.get("latency"),
        jitter=link.get("jitter"), bandwidth_bps=link.get("bandwidthBps"),
        bandwidth_measured_at=link.get("bandwidthMeasuredAt"),
    )  # fmt: skip


def _missed(
    asked: Iterable[LinkRequirement], places: Mapping[str, str], figures: Figures
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """(component, sentence): both ends of what is missed."""
    for wanted in asked:
        members = [name for name in dict.fromkeys(wanted.members) if name in places]
        found: dict[Pair, list[str]] = {}
        for one, other in combinations(members, 2):
            pair = naming.pair(places[one], places[other])
            if pair[0] == pair[1] or pair not in figures:
                continue
            for why in found.setdefault(pair, list(_short(wanted, figures[pair]))):
                yield one, f"{wanted.name}: to {other} on {places[other]} it asks for {why}"
                yield other, f"{wanted.name}: to {one} on {places[one]} it asks for {why}"


def _short(wanted: LinkRequirement, has: LinkFigures) -> Iterator[str]:
    """What a link lacks."""
    for what, bound, is_ in (
        ("round trip", wanted.latency_ms, has.latency_ms), ("jitter", wanted.jitter_ms, has.jitter_ms),
    ):  # fmt: skip
        if bound is not None and is_ is not None and is_ > bound:
            yield f"a {what} of at most {milliseconds(bound)}, and has {milliseconds(is_)}"
    if wanted.bandwidth_bps is not None and has.fresh_bps is not None and has.fresh_bps < wanted.bandwidth_bps:
        yield f"{rate(wanted.bandwidth_bps)}, and {rate(has.fresh_bps)} was measured"
