"""What one orchestration's rounds remember to save work: nothing here is needed for correctness."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from continuo.federation import state
from continuo.orchestrator import naming
from continuo.orchestrator.act import Attempts
from continuo.orchestrator.drift import accepted, drift
from continuo.orchestrator.observe import Caches, Laid, Snapshot, laid_over
from continuo.orchestrator.orient import FIXED, Wanted, orient
from continuo.orchestrator.remembered import Remembered
from continuo.orchestrator.settings import Settings
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT, AdjustmentSpec, decode_adjustment
from continuo.resources.meta import Object, annotations_of, key_of
from continuo.resources.orchestration import LowLevelOrchestration

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Memory:
    """Of one orchestration: its decoded form, its rendered objects, its comparisons, its failed tries."""

    attempts: Attempts
    _decoded: tuple[Object, LowLevelOrchestration] | None = None
    _adjustment: Remembered[AdjustmentSpec] = field(default_factory=Remembered)
    _laid: Remembered[Laid] = field(default_factory=Remembered)
    _wanted: tuple[object, Wanted] | None = None
    _compared: dict[int, tuple[Object, str | None, tuple[str, ...]]] = field(default_factory=dict)
    _accepted: dict[tuple[str, str, str], tuple[str | None, Object]] = field(default_factory=dict)
    """By (kind, namespace, name): the declaration's hash, and the declaration as a webhook changed it."""

    def decoded(self, obj: Object, decode: Callable[[Object], LowLevelOrchestration]) -> LowLevelOrchestration:
        """The typed form, decoded once per version; with the very same spec for as long as that says the same."""
        if self._decoded is None or self._decoded[0] is not obj:
            new, old = decode(obj), self._decoded[1] if self._decoded is not None else None
            same = old is not None and old.spec == new.spec
            self._decoded = (obj, replace(new, spec=old.spec) if old is not None and same else new)
        return self._decoded[1]

    def laid(self, declared: LowLevelOrchestration, management: Caches) -> Laid:
        """What is carried out: laid over once for each version of the declaration, the Adjustment and what was rolled back.

        Raises:
            Invalid: somebody wrote an Adjustment that cannot be read.
        """
        obj = management.get(ADJUSTMENT, declared.name, declared.namespace)
        adjustment = self._adjustment.of("", (obj,), lambda: decode_adjustment(obj))
        names = sorted({entry.revision for entry in adjustment.rollbacks})
        revisions = tuple(management.get(kinds.CONTROLLER_REVISION, name, declared.namespace) for name in names)
        given = (declared.spec, declared.generation, adjustment, revisions)
        laid = self._laid.of("", given, lambda: laid_over(declared, management, adjustment))
        spec = laid.orchestration.spec
        return Laid(adjustment, declared if spec is declared.spec else replace(declared, spec=spec), laid.base)

    def oriented(self, snapshot: Snapshot, settings: Settings) -> Wanted:
        """The desired objects, rendered again only when something they depend on changed."""
        facts = _facts(snapshot)
        if self._wanted is None or self._wanted[0] != facts:
            self._wanted = (facts, orient(snapshot, settings))
            self._compared.clear()
        return self._wanted[1]

    def compare(self, desired: Object, live: Object | None) -> tuple[str, ...]:
        """`drift`, remembered per rendered object and live version."""
        version = live["metadata"].get("resourceVersion") if live is not None else None
        known = self._compared.get(id(desired))
        if known is not None and known[0] is desired and known[1] == version and live is not None:
            return known[2]
        found = drift(desired, live)
        if found and live is not None:
            mark, taken = self._accepted.get(_identity(desired), (None, desired))
            if mark == annotations_of(desired).get(naming.APPLIED):
                found = drift(taken, live)
        self._compared[id(desired)] = (desired, version, found)
        return found

    def took(self, desired: Object, answer: Object) -> None:
        """The server answered our apply: if it keeps the declaration in another form, that form is no drift."""
        found = drift(desired, answer)
        if not found or found == ("declaration",):
            self._accepted.pop(_identity(desired), None)
            return
        log.info("%s %s is kept in another form than declared: %s", desired["kind"], key_of(desired), ", ".join(found))
        self._accepted[_identity(desired)] = (annotations_of(desired).get(naming.APPLIED), accepted(desired, answer))
        self._compared.pop(id(desired), None)


def _identity(desired: Object) -> tuple[str, str, str]:
    return (desired["kind"], *key_of(desired))


def _facts(snapshot: Snapshot) -> object:
    """Everything that `orient` looks at, as versions."""
    metadata = snapshot.orchestration.metadata
    clusters = []
    for name, seen in snapshot.clusters.items():
        caches = seen.workload.caches
        endpoint = ((seen.cluster or {}).get("spec") or {}).get("controlPlaneEndpoint")
        liqo = state.cluster_id(caches) if caches is not None else None
        infrastructure = (seen.infrastructure or {}).get("spec") or {}
        fixed = str([infrastructure.get(field) for field in FIXED])
        clusters.append((name, liqo, str(endpoint), fixed, seen.workload.entrance))
    secrets = tuple(sorted((name, obj["metadata"].get("resourceVersion")) for name, obj in snapshot.secrets.items()))
    return (
        metadata.get("uid"),
        snapshot.orchestration.spec,
        snapshot.deleting,
        tuple(clusters),
        secrets,
        _homes(snapshot),
    )


def _homes(snapshot: Snapshot) -> tuple[object, ...]:
    """Who owns the applications' namespaces in their home clusters."""
    found: list[object] = []
    for app in snapshot.orchestration.spec.apps:
        seen = snapshot.clusters.get(app.cluster)
        caches = seen.workload.caches if seen is not None else None
        live = caches.get(kinds.NAMESPACE, app.name) if caches is not None else None
        found.append(tuple(sorted((live["metadata"].get("labels") or {}).items())) if live is not None else None)
    return tuple(found)
