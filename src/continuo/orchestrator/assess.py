"""Where every declared item stands, worked out once per round for both the plan and the status. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from continuo.federation import links, names, offloading, quantities, state, unlink
from continuo.federation.model import LinkPhase, LinkProgress, LinkSettings
from continuo.orchestrator import naming, states
from continuo.orchestrator.linkable import Linking, linking_of
from continuo.orchestrator.measuring.figures import Figures, figures_of
from continuo.orchestrator.observe import ClusterSeen, Reach, Snapshot
from continuo.orchestrator.orient import AppWanted, Wanted
from continuo.orchestrator.render import packages
from continuo.resources import kinds
from continuo.resources.meta import Key, Object, annotations_of, key_of, labels_of

NO_CACHES = state.Objects(())


@dataclass(frozen=True, slots=True)
class AppSeen:
    """What of an application is in its home cluster."""

    namespace: Object | None
    offloading: Object | None
    deployments: Mapping[str, Object]
    objects: Mapping[tuple[str, str], Object]
    """Everything else of the application, by (kind, name)."""
    copies: tuple[Object, ...] = ()
    """What a former home, lost since, sent into the namespace."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """The state of all items of one orchestration."""

    clusters: Mapping[str, states.ClusterState]
    packages: Mapping[str, Mapping[str, states.PackageState]]
    links: Mapping[tuple[str, str], LinkProgress]
    """Wanted links, and unwanted ones that are still there (phase Unpeering)."""
    figures: Figures
    """What was measured of connected links."""
    apps: Mapping[str, AppSeen]
    components: Mapping[tuple[str, str], states.ComponentState]
    offloadings: Mapping[str, offloading.OffloadingState]
    linking: Mapping[str, Linking] = field(default_factory=dict)
    """Clusters that something stands against linking, and what."""


def assess(
    snapshot: Snapshot, wanted: Wanted, link_settings: LinkSettings, now: float | None = None
) -> Assessment:  # fmt: skip
    """Read every item's state. `now` (seconds since 1970) says how old measurements are; without it none counts."""
    before = states.phases_before(snapshot.object.get("status"), snapshot.clusters)
    clusters = {
        name: states.cluster_state(seen, wanted.clusters.get(name), before.get(name))
        for name, seen in snapshot.clusters.items()
    }
    apps = {name: _app_seen(snapshot, app) for name, app in wanted.apps.items()}
    progress, latencies = _links(snapshot, wanted, clusters, link_settings)
    return Assessment(
        clusters=clusters,
        packages={
            name: states.package_states(snapshot.clusters[name], cluster)
            for name, cluster in wanted.clusters.items()
            if name in snapshot.clusters
        },
        links=progress,
        figures=figures_of(snapshot, latencies, now),
        apps=apps,
        components=_components(snapshot, wanted, apps),
        offloadings={
            name: offloading.offloading_state(apps[name].offloading) for name, app in wanted.apps.items() if app.remotes
        },
        linking=linking_of(snapshot),
    )


def ends(
    snapshot: Snapshot, pair: tuple[str, str], clusters: Mapping[str, states.ClusterState]
) -> tuple[state.EndState, state.EndState]:
    """Both ends of a link as federation wants to see them."""
    seen = [snapshot.clusters.get(name) for name in pair]
    # A cluster of ours that is gone already is still known by the ID that we gave it.
    ids = [
        _liqo_id(s) if s is not None else naming.cluster_name(snapshot.key[1], n)
        for n, s in zip(pair, seen, strict=True)
    ]
    return _end(pair[0], seen[0], ids[1], clusters), _end(pair[1], seen[1], ids[0], clusters)


def _liqo_id(seen: ClusterSeen | None) -> str | None:
    if seen is None:
        return None
    caches = seen.workload.caches
    found = state.cluster_id(caches) if caches is not None else None
    # Once its API is lost, a cluster that we created is still known by the ID that we gave it.
    return found or (seen.full_name if seen.cluster is not None else None)


def _end(
    name: str, seen: ClusterSeen | None, peer: str | None, clusters: Mapping[str, states.ClusterState]
) -> state.EndState:
    caches = seen.workload.caches if seen is not None else None
    current = clusters.get(name)
    return state.end_state(
        name,
        caches if caches is not None else NO_CACHES,
        peer,
        ready=current is not None and current.usable,
        reachable=seen is not None and seen.workload.reach is Reach.OK,
        capacity=quantities.capacity(caches.list(kinds.NODE)) if caches is not None else {},
    )


def link_settings_for(
    first: state.EndState, second: state.EndState, settings: LinkSettings, wanted: Wanted
) -> LinkSettings:
    """The settings of one link: which end's gateway listens, how it is exposed, on whose shared address.

    A gateway that exists stays where it is, and on an adopted cluster as it is. Otherwise the end with a load balancer
    listens (an adopted cluster has one unless its `packages` leave it out), the second when both have one; without any
    the gateway is reached through a node's port.
    """
    declared = {end.name: wanted.clusters.get(end.name) for end in (first, second)}
    balanced = {name: c is None or "loadbalancer" in c.spec.package_set for name, c in declared.items()}
    server = settings.server
    if server == "auto" and first.gateway_server is None and second.gateway_server is None:
        server = "first" if balanced[first.name] and not balanced[second.name] else "second"
    listener = first if server == "first" or first.gateway_server is not None else second
    cluster = declared[listener.name]
    if listener.gateway_server is not None and (cluster is None or cluster.spec.existing):
        # Another orchestration may have made it and know better; two that differ would undo each other's writes.
        spec = listener.gateway_server.get("spec") or {}
        kept = (spec.get("endpoint") or {}).get("serviceType") or settings.service_type
        return replace(
            settings, server=server, service_type=kept, service_annotations=spec.get("serviceAnnotations") or {}
        )
    annotations = packages.shared_address(cluster.spec) if cluster is not None and not cluster.spec.existing else {}
    return replace(
        settings,
        server=server,
        service_type=settings.service_type if balanced[listener.name] else "NodePort",
        service_annotations={**annotations, **settings.service_annotations},
    )


def _links(
    snapshot: Snapshot, wanted: Wanted, clusters: Mapping[str, states.ClusterState], settings: LinkSettings
) -> tuple[dict[tuple[str, str], LinkProgress], dict[tuple[str, str], tuple[str, str | None]]]:
    connected = {
        naming.pair(*entry["clusters"])
        for entry in (snapshot.object.get("status") or {}).get("links") or ()
        if entry.get("phase") in ("Connected", "Degraded")
    }
    found: dict[tuple[str, str], LinkProgress] = {}
    latencies: dict[tuple[str, str], tuple[str, str | None]] = {}
    for pair in wanted.links:
        if pair[0] not in snapshot.clusters or pair[1] not in snapshot.clusters:
            continue
        first, second = ends(snapshot, pair, clusters)
        own = link_settings_for(first, second, settings, wanted)
        found[pair] = links.advance(first, second, own, established=pair in connected)
        measured = first if first.latency else second
        if found[pair].phase is LinkPhase.CONNECTED and measured.latency:
            latencies[pair] = measured.latency, measured.latency_at
    for pair in existing_links(snapshot) - set(wanted.links) - snapshot.shared_links:
        first, second = ends(snapshot, pair, clusters)
        unseen = [name for name in pair if name in snapshot.unseen]
        progress = (
            LinkProgress(LinkPhase.UNPEERING, "Connecting", f"connecting to the API of {' and '.join(unseen)}", 0, 1)
            if unseen
            else unlink.retreat(first, second, _removal(snapshot, pair, settings))
        )
        if progress.phase is not LinkPhase.GONE:
            found[pair] = progress
    return found, latencies


def _removal(snapshot: Snapshot, pair: tuple[str, str], settings: LinkSettings) -> LinkSettings:
    """A link to a cluster that is itself going may be cut without the other end's help.

    An adopted cluster does not go: what is on it is waited for as long as there are credentials for it.
    """
    declared = {spec.name for spec in snapshot.orchestration.spec.clusters} if not snapshot.deleting else set()
    going = any(name not in declared and not _stays(snapshot.clusters.get(name)) for name in pair)
    return replace(settings, force=settings.force or going)


def _stays(seen: ClusterSeen | None) -> bool:
    return seen is not None and seen.adopted and seen.kubeconfig is not None


def existing_links(snapshot: Snapshot) -> set[tuple[str, str]]:
    """The links that we made between clusters of this orchestration and that are still (partly) there.

    The tenant namespace is the first thing made, so it stands for the link. It is the last removed but one: a
    ForeignCluster without it is what remains of a link.
    """
    by_id = {_liqo_id(seen): name for name, seen in snapshot.clusters.items()}
    found: set[tuple[str, str]] = set()
    for name, seen in snapshot.clusters.items():
        caches = seen.workload.caches
        if caches is None or seen.workload.reach is not Reach.OK:
            continue
        for space in caches.tenants():
            peer = labels_of(space).get("liqo.io/remote-cluster-id") or ""
            ours = naming.cluster_name(snapshot.key[1], "")
            other = by_id.get(peer) or (peer.removeprefix(ours) if peer.startswith(ours) else None)
            # Whoever had a link made to a cluster that we created: when nobody needs it, it is ours to remove.
            ours_to_remove = _is_ours(space, snapshot.key) or (not seen.adopted and _by_continuo(space))
            if other and ours_to_remove:
                found.add(naming.pair(name, other))
        for foreign in caches.list(kinds.FOREIGN_CLUSTER):
            peer = foreign["spec"]["clusterID"]
            if peer in by_id and caches.get(kinds.NAMESPACE, names.tenant_namespace(peer)) is None:
                found.add(naming.pair(name, by_id[peer]))
    return found


def _app_seen(snapshot: Snapshot, app: AppWanted) -> AppSeen:
    seen = snapshot.clusters.get(app.home)
    caches = seen.workload.caches if seen is not None else None
    if seen is None or caches is None:
        return AppSeen(None, None, {}, {})
    return app_objects(seen, snapshot.key, app.spec.name)


_NAMESPACED = (
    kinds.SERVICE, kinds.SECRET, kinds.PERSISTENT_VOLUME_CLAIM, kinds.INGRESS, kinds.GATEWAY, kinds.HTTP_ROUTE,
)  # fmt: skip


def app_objects(seen: ClusterSeen, key: Key, app: str) -> AppSeen:
    """What an application has in one cluster; for the whole application, one pass over its own objects."""
    caches = seen.workload.caches
    if caches is None:
        return AppSeen(None, None, {}, {})
    deployments: dict[str, Object] = {}
    objects: dict[tuple[str, str], Object] = {}
    for obj in _of_app(caches.list(kinds.DEPLOYMENT, app), key):
        deployments[obj["metadata"]["name"]] = obj
    for kind in _NAMESPACED:
        for obj in _of_app(caches.list(kind, app), key):
            objects[(kind.kind, obj["metadata"]["name"])] = obj
    namespace = caches.get(kinds.NAMESPACE, app)
    if namespace is not None and not _is_ours(namespace, key):
        namespace = None
    copies = (
        [obj for kind in offloading.COPIED_KINDS for obj in _of_app(caches.list(kind, app), key)] if namespace else ()
    )
    offload = caches.get(kinds.NAMESPACE_OFFLOADING, "offloading", app)
    return AppSeen(namespace, offload, deployments, objects, tuple(copies))


def _of_app(found: object, key: Key) -> list[Object]:
    return [obj for obj in found if _is_ours(obj, key)]  # type: ignore[attr-defined]


def _by_continuo(obj: Object) -> bool:
    return labels_of(obj).get(naming.MANAGED_BY) == "continuo"


def _is_ours(obj: Object, key: Key) -> bool:
    labels = labels_of(obj)
    return (labels.get(naming.ORCHESTRATION_NAMESPACE), labels.get(naming.ORCHESTRATION)) == key


def _components(
    snapshot: Snapshot, wanted: Wanted, apps: Mapping[str, AppSeen]
) -> dict[tuple[str, str], states.ComponentState]:
    found: dict[tuple[str, str], states.ComponentState] = {}
    for app_name, app in wanted.apps.items():
        seen = snapshot.clusters.get(app.home)
        caches = seen.workload.caches if seen is not None else None
        pods: dict[str, list[Object]] = {}
        for pod in caches.list(kinds.POD, app_name) if caches is not None else ():
            pods.setdefault(labels_of(pod).get(naming.COMPONENT, ""), []).append(pod)
        for name, component in app.components.items():
            deployment = apps[app_name].deployments.get(name)
            declared = next((o for o in component.objects if o["kind"] == "Deployment"), None)
            found[(app_name, name)] = states.component_state(
                deployment,
                annotations_of(declared).get(naming.APPLIED) if declared is not None else None,
                sorted(pods.get(name, ()), key=key_of),
                moved_from(deployment, component.cluster),
            )
    return found


def moved_from(deployment: Object | None, cluster: str) -> str | None:
    """The cluster where the live Deployment still places its pods, if that is another one."""
    if deployment is None or not cluster:
        return None
    live = labels_of(deployment).get(naming.CLUSTER)
    return live if live and live != cluster else None
