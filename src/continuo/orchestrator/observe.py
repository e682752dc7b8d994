"""Observe: from the caches of the management cluster and of the workload clusters to one frozen picture.

`Caches` is what is known of one cluster; the running operator fills it from watches, `continuo plan` from lists. Nothing
here scans a cluster: objects are found by key or by the index of their orchestration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import msgspec
from msgspec.structs import replace

from continuo.orchestrator import naming
from continuo.orchestrator.capacity import NOTHING
from continuo.orchestrator.effective import default_place, effective, revision_app, rolled_back
from continuo.orchestrator.loops.model import Amounts, Capacity
from continuo.orchestrator.render.applications import secrets_used
from continuo.orchestrator.render.clusters import INFRASTRUCTURES
from continuo.orchestrator.render.exposure import Entrance
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT, AdjustmentSpec, decode_adjustment
from continuo.resources.meta import Key, Kind, Object, annotations_of, labels_of
from continuo.resources.orchestration import AppSpec, LowLevelOrchestration, Spec, decode

MANAGEMENT_KINDS: tuple[Kind, ...] = (
    kinds.CLUSTER, kinds.KUBEADM_CONTROL_PLANE, kinds.KTHREES_CONTROL_PLANE, kinds.MICROK8S_CONTROL_PLANE,
    kinds.MACHINE_DEPLOYMENT, *(infrastructure.cluster for infrastructure in INFRASTRUCTURES),
    *(infrastructure.machine_template for infrastructure in INFRASTRUCTURES),
    kinds.KUBEADM_CONFIG_TEMPLATE, kinds.KTHREES_CONFIG_TEMPLATE, kinds.MICROK8S_CONFIG_TEMPLATE,
    kinds.HELM_CHART_PROXY,
)  # fmt: skip
"""What the orchestrator itself writes into the management cluster; all of it carries the orchestration's labels."""

APPLICATION_KINDS: tuple[Kind, ...] = (
    kinds.NAMESPACE, kinds.DEPLOYMENT, kinds.SERVICE, kinds.SECRET, kinds.PERSISTENT_VOLUME_CLAIM, kinds.INGRESS,
)  # fmt: skip
GATEWAY_KINDS: tuple[Kind, ...] = (kinds.GATEWAY, kinds.HTTP_ROUTE)
POOL_KINDS: tuple[Kind, ...] = (kinds.IP_ADDRESS_POOL, kinds.L2_ADVERTISEMENT)
OWNED_KINDS = (*APPLICATION_KINDS, *GATEWAY_KINDS, *POOL_KINDS)
"""What the orchestrator writes into workload clusters, links and offloading apart."""


class Caches(Protocol):
    """What is known of one cluster. Objects are shared: never changed."""

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None: ...

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Object]: ...

    def owned(self, kind: Kind, orchestration: Key) -> Iterable[Object]:
        """The objects that carry the labels of that orchestration (namespace, name)."""
        ...

    def tenants(self) -> Iterable[Object]:
        """Liqo's tenant namespaces: each stands for a link."""
        ...

    def of_cluster(self, kind: Kind, namespace: str, cluster: str) -> Iterable[Object]:
        """The objects labelled with that Cluster API cluster name: Machines and their sets, HelmReleaseProxies."""
        ...


class Reach(StrEnum):
    """Whether a workload cluster's API can be used."""

    NONE = "none"
    """There are no credentials yet."""
    CONNECTING = "connecting"
    OK = "ok"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Workload:
    """The operator's view into one workload cluster."""

    reach: Reach
    message: str = ""
    caches: Caches | None = None
    entrance: Entrance = field(default_factory=Entrance)
    capacity: Capacity | None = None
    """What its nodes can take and its pods asked for; None while that is not known."""
    ours: Callable[[Key], Amounts] = lambda _: NOTHING
    """What of it the bound pods of one orchestration's components asked for."""


class World(Protocol):
    """Everything that can be looked at."""

    def management(self) -> Caches: ...

    def workload(self, namespace: str, secret: str) -> Workload:
        """The workload cluster behind the kubeconfig Secret of that name."""
        ...

    def provisioning(self) -> frozenset[Key]:
        """The Cluster API clusters of all orchestrations that are on their way to their first control plane."""
        ...

    def missing(self) -> frozenset[str]:
        """Of MANAGEMENT_KINDS those that the management cluster does not serve: their provider is not installed."""
        ...

    def users(self, secret: Key, besides: Key) -> tuple[Key, ...]:
        """Other orchestrations that use the cluster behind that kubeconfig Secret (namespace, name)."""
        ...

    def partners(self, secret: Key) -> Set[Key]:
        """The clusters that any orchestration declares a link to, from the one behind that kubeconfig Secret."""
        ...

    def link_holders(self, a: Key, b: Key, besides: Key) -> tuple[Key, ...]:
        """Other orchestrations that declare a link between those two kubeconfig Secrets (namespace, name)."""
        ...


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """One cluster of an orchestration as it is: declared, or still there."""

    name: str
    full_name: str
    secret: str
    """The kubeconfig Secret's name."""
    made: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    """Our objects in the management cluster, by (kind, name)."""
    machines: tuple[Object, ...] = ()
    machine_sets: tuple[Object, ...] = ()
    releases: Mapping[str, Object] = field(default_factory=dict)
    """HelmReleaseProxies by the name of their HelmChartProxy."""
    kubeconfig: Object | None = None
    infrastructure: Object | None = None
    workload: Workload = Workload(Reach.NONE)
    adopted: bool = False
    """It is not ours to make or to delete; what we put on it is."""
    guests: tuple[Key, ...] = ()
    """Other orchestrations that use the cluster as an existing one."""

    stranger: Object | None = None
    """A Cluster of that name which is not the orchestration's."""

    @property
    def cluster(self) -> Object | None:
        """The Cluster API Cluster."""
        return self.made.get((kinds.CLUSTER.kind, self.full_name))

    def owned(self, kind: Kind, orchestration: Key) -> list[Object]:
        """The orchestration's objects of a kind in this workload cluster."""
        caches = self.workload.caches
        return list(caches.owned(kind, orchestration)) if caches is not None else []


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a component has no place."""

    reason: str
    message: str
    until: str | None = None
    """Until when an external scheduler may give it one (RFC 3339)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One orchestration and everything that is seen of it."""

    orchestration: LowLevelOrchestration
    """As it is carried out: the declaration with the Adjustment laid over it."""
    object: Object
    clusters: Mapping[str, ClusterSeen]
    secrets: Mapping[str, Object]
    """The Secrets that its applications refer to, those that exist."""
    provisioning: frozenset[Key]
    """Clusters of any orchestration that are being provisioned."""
    missing: frozenset[str] = frozenset()
    """Kinds that no installed provider serves."""
    shared_links: frozenset[tuple[str, str]] = frozenset()
    """Pairs (declared names) that another orchestration needs as well."""
    declared: Spec = field(default_factory=Spec)
    """The declaration itself."""
    base: Spec = field(default_factory=Spec)
    """The declaration with what was rolled back as it runs instead."""
    version: str = ""
    """Of which declaration, with which Adjustment: what a decision that is made on this picture is based on."""
    adjustment: AdjustmentSpec = field(default_factory=AdjustmentSpec)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    """By component (APPLICATION/COMPONENT): those that have no place, and why."""

    @property
    def key(self) -> Key:
        return self.orchestration.namespace, self.orchestration.name

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.orchestration.metadata

    @property
    def unseen(self) -> tuple[str, ...]:
        """Clusters that are only just being looked at: that nothing is seen on them does not say that nothing is there."""
        return tuple(name for name, seen in self.clusters.items() if seen.workload.reach is Reach.CONNECTING)


def secret_names(orchestration: LowLevelOrchestration) -> frozenset[str]:
    """The Secrets beside the orchestration that its applications refer to."""
    return frozenset(
        use.name for app in orchestration.spec.apps for component in app.components for use in secrets_used(component)
    )


def adopted_secrets(obj: Object, orchestration: LowLevelOrchestration) -> dict[str, str]:
    """The kubeconfig Secrets of adopted clusters by name: of those declared, and of those that are still to be left."""
    declared = {spec.name: spec.kubeconfig or "" for spec in orchestration.spec.clusters if spec.existing}
    made = {spec.name for spec in orchestration.spec.clusters if not spec.existing}
    try:
        before = msgspec.json.decode(annotations_of(obj).get(naming.ADOPTED, "{}"), type=dict[str, str])
    except msgspec.DecodeError:
        before = {}  # somebody wrote into our annotation: what is declared is known all the same
    return {**{name: secret for name, secret in before.items() if name not in made}, **declared}


def adjustment_of(key: Key, management: Caches) -> AdjustmentSpec:
    """What loops laid over an orchestration; raises Invalid where somebody wrote what cannot be read."""
    return decode_adjustment(management.get(ADJUSTMENT, key[1], key[0]))


def carried_out(
    declared: LowLevelOrchestration, management: Caches, adjustment: AdjustmentSpec | None = None
) -> LowLevelOrchestration:
    """An orchestration as it is carried out: with its Adjustment laid over it."""
    key = (declared.namespace, declared.name)
    laid = adjustment if adjustment is not None else adjustment_of(key, management)
    spec = effective(declared.spec, laid, _revisions(key, laid, management), declared.generation)
    return declared if spec is declared.spec else replace(declared, spec=spec)


@dataclass(frozen=True, slots=True)
class Laid:
    """An Adjustment laid over a declaration."""

    adjustment: AdjustmentSpec
    orchestration: LowLevelOrchestration
    """As it is carried out."""
    base: Spec
    """The declaration with what was rolled back as it runs instead."""


def laid_over(declared: LowLevelOrchestration, management: Caches, adjustment: AdjustmentSpec | None = None) -> Laid:
    """A declaration with its Adjustment, as the caches have it unless it is given; raises Invalid."""
    key = (declared.namespace, declared.name)
    laid = adjustment if adjustment is not None else adjustment_of(key, management)
    base = rolled_back(declared.spec, laid, _revisions(key, laid, management), declared.generation)
    return Laid(laid, carried_out(declared, management, laid), base)


def _revisions(key: Key, laid: AdjustmentSpec, management: Caches) -> dict[str, AppSpec]:
    """How the applications ran that an Adjustment says were rolled back."""
    found = {
        entry.revision: management.get(kinds.CONTROLLER_REVISION, entry.revision, key[0]) for entry in laid.rollbacks
    }
    return {name: app for name, held in found.items() if held is not None and (app := revision_app(held)) is not None}


def version_of(obj: Object, adjustment: Object | None) -> str:
    """What decisions are based on: a declaration, and what is laid over it."""
    laid = adjustment["metadata"].get("resourceVersion") if adjustment is not None else "none"
    return f"generation/{obj['metadata'].get('generation', 0)},adjustment/{laid}"


def observe(
    obj: Object, world: World, decoded: LowLevelOrchestration | None = None, laid: Laid | None = None
) -> Snapshot:
    """The picture of one orchestration; `decoded` is its declaration, `laid` that with the Adjustment that there is now.

    Raises:
        Invalid: the object does not fit the model (an API server with our CRD never stores such a one).
    """
    declared = decoded if decoded is not None else decode(obj)
    key = (declared.namespace, declared.name)
    management = world.management()
    laid = laid if laid is not None else laid_over(declared, management)
    orchestration = _staying(laid.orchestration, world)
    made = _made_by_cluster(management, key, [spec.name for spec in orchestration.spec.clusters])
    adopted = adopted_secrets(obj, orchestration)
    names = dict.fromkeys([spec.name for spec in orchestration.spec.clusters] + sorted({*made, *adopted}))
    clusters = {
        name: _seen(world, key, name, made.get(name, {}), adopted.get(name)) for name in names if name is not None
    }
    secrets = {
        name: secret
        for name in secret_names(orchestration)
        if (secret := management.get(kinds.SECRET, name, key[0])) is not None
    }
    return Snapshot(
        orchestration=orchestration,
        object=obj,
        clusters=clusters,
        secrets=secrets,
        provisioning=world.provisioning(),
        missing=world.missing(),
        shared_links=_shared_links(world, key, clusters),
        declared=declared.spec,
        base=laid.base,
        version=version_of(obj, management.get(ADJUSTMENT, key[1], key[0])),
        adjustment=laid.adjustment,
    )


def _staying(orchestration: LowLevelOrchestration, world: World) -> LowLevelOrchestration:
    """Components whose place nobody says (any more), but that run somewhere, stay there until somebody does."""
    spec = orchestration.spec
    if all(c.placement is None for app in spec.apps for c in app.components):
        return orchestration
    names = {cluster.name for cluster in spec.clusters}
    apps = []
    for app in spec.apps:
        components = []
        for component in app.components:
            if default_place(app, component, {}) is None:
                live = _runs_on(orchestration, world, app.cluster, app.name, component.name)
                component = replace(component, cluster_selector=live) if live in names else component
            components.append(component)
        apps.append(replace(app, components=tuple(components)))
    return replace(orchestration, spec=replace(spec, apps=tuple(apps)))


def _runs_on(orchestration: LowLevelOrchestration, world: World, home: str, app: str, component: str) -> str | None:
    """The cluster that the live Deployment of a component names."""
    adopted = {spec.name: spec.kubeconfig or "" for spec in orchestration.spec.clusters if spec.existing}
    secret = adopted.get(home) or f"{naming.cluster_name(orchestration.name, home)}-kubeconfig"
    caches = world.workload(orchestration.namespace, secret).caches
    live = caches.get(kinds.DEPLOYMENT, component, app) if caches is not None else None
    key = (orchestration.namespace, orchestration.name)
    return labels_of(live).get(naming.CLUSTER) if live is not None and naming.owner(live) == key else None


def _made_by_cluster(management: Caches, key: Key, declared: Sequence[str]) -> dict[str, dict[tuple[str, str], Object]]:
    found: dict[str, dict[tuple[str, str], Object]] = {}
    for kind in MANAGEMENT_KINDS:
        for obj in management.owned(kind, key):
            if cluster := _cluster_of(obj, key[1], declared):
                found.setdefault(cluster, {})[(kind.kind, obj["metadata"]["name"])] = obj
    return found


def _cluster_of(obj: Object, orchestration: str, declared: Sequence[str]) -> str | None:
    """The cluster that our object belongs to: its label, if its name says the same; else a declared one that its name says.

    Labels are easily edited, and an object of a cluster that is not declared is deleted.
    """
    said, name = labels_of(obj).get(naming.CLUSTER), obj["metadata"]["name"]
    for cluster in (said, *sorted(declared, key=len, reverse=True)):
        full = naming.cluster_name(orchestration, cluster) if cluster else None
        if full and (name == full or name.startswith(f"{full}-")):
            return cluster
    return None


def _seen(world: World, key: Key, name: str, made: dict[tuple[str, str], Object], adopted: str | None) -> ClusterSeen:
    namespace, orchestration = key
    management = world.management()
    full_name = naming.cluster_name(orchestration, name)
    secret = adopted or f"{full_name}-kubeconfig"
    releases = {
        labels_of(release).get("helmreleaseproxy.addons.cluster.x-k8s.io/helmchartproxy-name", ""): release
        for release in management.of_cluster(kinds.HELM_RELEASE_PROXY, namespace, full_name)
    }
    namesake = management.get(kinds.CLUSTER, full_name, namespace) if adopted is None else None
    return ClusterSeen(
        name=name,
        full_name=full_name,
        secret=secret,
        made=made,
        machines=tuple(management.of_cluster(kinds.MACHINE, namespace, full_name)),
        machine_sets=tuple(management.of_cluster(kinds.MACHINE_SET, namespace, full_name)),
        releases=releases,
        kubeconfig=management.get(kinds.SECRET, secret, namespace),
        infrastructure=_infrastructure(made, full_name),
        workload=world.workload(namespace, secret),
        adopted=adopted is not None,
        guests=world.users((namespace, secret), key),
        stranger=namesake if namesake is not None and not naming.made_for(namesake, key) else None,
    )


def _infrastructure(made: Mapping[tuple[str, str], Object], full_name: str) -> Object | None:
    """The infrastructure cluster, of whichever provider."""
    found = (made.get((infrastructure.cluster.kind, full_name)) for infrastructure in INFRASTRUCTURES)
    return next((obj for obj in found if obj is not None), None)


def simulated(cluster: Object | None) -> bool:
    """Whether a Cluster's machines are simulated: behind its kubeconfig is no API server that could be followed."""
    reference = ((cluster or {}).get("spec") or {}).get("infrastructureRef") or {}
    return reference.get("kind") == kinds.DEV_CLUSTER.kind


def _shared_links(world: World, key: Key, clusters: Mapping[str, ClusterSeen]) -> frozenset[tuple[str, str]]:
    """Of every cluster's links the foreign ones, going through its partners or its siblings, whichever are fewer."""
    names: dict[Key, list[str]] = {}
    for name, seen in clusters.items():
        names.setdefault((key[0], seen.secret), []).append(name)
    found: set[tuple[str, str]] = set()
    for secret, ours in names.items():
        partners = world.partners(secret)
        for other in partners if len(partners) < len(names) else names:
            if other in names and other in partners and world.link_holders(secret, other, key):
                found.update(naming.pair(a, b) for a in ours for b in names[other] if a != b)
    return frozenset(found)
