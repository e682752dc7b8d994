"""Which clusters no link will join unless somebody changes something: there is no Liqo, and none is to come. Pure.

What was not seen yet, does not answer or is still being installed says nothing against a link.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from continuo.federation import state
from continuo.orchestrator.observe import ClusterSeen, Reach, Snapshot
from continuo.resources.orchestration import ClusterSpec


@dataclass(frozen=True, slots=True)
class Linking:
    """What stands against links of a cluster."""

    unlinkable: str = ""
    """Why it can be linked with no other, after its name."""
    shared_id: str = ""
    """What it and another call themselves in Liqo: these two cannot be linked."""


FREE = Linking()


def linking_of(snapshot: Snapshot) -> dict[str, Linking]:
    """By cluster, what stands against links of it; clusters that nothing is said against are left out."""
    specs = snapshot.orchestration.spec.clusters
    if len(specs) < 2:
        return {}  # there is nothing to be linked with
    ids = {spec.name: _liqo_id(snapshot.clusters.get(spec.name)) for spec in specs}
    shared = _repeated(ids.values())
    found = {
        spec.name: Linking(
            _unlinkable(spec, snapshot.clusters.get(spec.name), ids[spec.name]),
            name if (name := ids[spec.name] or "") in shared else "",
        )
        for spec in specs
    }
    return {name: linking for name, linking in found.items() if linking != FREE}


def _repeated(ids: Iterable[str | None]) -> frozenset[str]:
    return frozenset(name for name, count in Counter(ids).items() if name and count > 1)


def _unlinkable(spec: ClusterSpec, seen: ClusterSeen | None, liqo_id: str | None) -> str:
    if spec.simulated:
        return "has machines in name only"
    if liqo_id is not None or not _looked(spec, seen):
        return ""
    if spec.existing:  # where `packages` are named they say what its owner installs
        named = spec.packages is not None and "liqo" in spec.package_set
        return "" if named else "has no Liqo, and into an adopted cluster only its owner installs it"
    return "" if "liqo" in spec.package_set else "has no Liqo, and its packages leave it out"


def _looked(spec: ClusterSpec, seen: ClusterSeen | None) -> bool:
    """Whether it is known what is installed: somebody looked, or it is ours and nobody can have been there yet."""
    if seen is None or (seen.workload.reach is Reach.NONE and not spec.existing):
        return not spec.existing
    return seen.workload.caches is not None and seen.workload.reach in (Reach.OK, Reach.LOST)


def _liqo_id(seen: ClusterSeen | None) -> str | None:
    caches = seen.workload.caches if seen is not None else None
    return state.cluster_id(caches) if caches is not None else None
