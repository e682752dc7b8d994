"""Of which links somebody wants to know the bandwidth: measuring costs traffic, so nothing is measured unasked. Pure."""

from __future__ import annotations

from continuo.orchestrator.measuring.figures import Pair
from continuo.orchestrator.orient import AppWanted, Wanted
from continuo.resources.orchestration import LinkRequirement, Spec
from continuo.resources.orchestration_policies import MeasureBandwidth, PlacementSpec


def asked_pairs(spec: Spec, wanted: Wanted) -> frozenset[Pair]:
    """The wanted links that members of a requirement with a bandwidth may talk over, wherever they may be placed."""
    how = (spec.placement or PlacementSpec()).measure_bandwidth
    if how is MeasureBandwidth.NEVER:
        return frozenset()
    if how is MeasureBandwidth.ALWAYS:
        return frozenset(wanted.links)
    found: set[Pair] = set()
    for app in wanted.apps.values():
        for asked in app.spec.link_requirements:
            if asked.bandwidth_bps:
                found |= {pair for pair in wanted.links if _spans(app, asked, pair)}
    return frozenset(found)


def _spans(app: AppWanted, asked: LinkRequirement, pair: Pair) -> bool:
    """Whether two members may be at different ends."""
    members = [app.components[name] for name in asked.members if name in app.components]
    free = sum(member.spec.placement is not None for member in members)
    fixed = {member.cluster for member in members if member.spec.placement is None}
    ends = sum(name in fixed for name in pair)
    return ends + min(free, 2) >= 2
