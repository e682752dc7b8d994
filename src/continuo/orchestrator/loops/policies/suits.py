"""Whether a component could be on a cluster at all, apart from room: tier, labels, location."""

from __future__ import annotations

from continuo.orchestrator.loops.model import ComponentView
from continuo.resources.orchestration import ClusterSpec
from continuo.resources.orchestration_places import LocationTerm
from continuo.resources.selectors import selects


def unsuitable(component: ComponentView, cluster: ClusterSpec) -> str:
    """Why it could not, as half a sentence; empty where it could."""
    asks = component.spec.placement
    if asks is None:
        return "its cluster is chosen by who declared it"
    if cluster.simulated:
        return "simulated machines run no pods"
    hint = component.spec.placement_hint
    if hint is not None and str(cluster.tier or "") != str(hint).lower():
        return f"it asks for tier {str(hint).lower()}, and the cluster is of {cluster.tier or 'none'}"
    if not selects(asks.clusters, cluster.labels):
        return "the cluster has not the labels that it asks for"
    if asks.locations and not any(_stands(term, cluster) for term in asks.locations):
        return "the cluster does not stand where it asks for"
    return ""


def _stands(term: LocationTerm, cluster: ClusterSpec) -> bool:
    location = cluster.location
    said = {
        "country": location.country if location else None,
        "region": location.region if location else None,
        "city": location.city if location else None,
        "datacenter": cluster.datacenter,
    }
    asked = {"country": term.country, "region": term.region, "city": term.city, "datacenter": term.datacenter}
    return all(want is None or said[field] == want for field, want in asked.items())
