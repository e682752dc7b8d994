"""Orient: from the picture to what has to be there: every object, its place, and what stands in the way of an item.

Pure. A problem belongs to one item and blocks only that item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from continuo.federation import names, offloading, state
from continuo.orchestrator import naming
from continuo.orchestrator.drift import differences
from continuo.orchestrator.effective import default_place
from continuo.orchestrator.observe import ClusterSeen, Snapshot
from continuo.orchestrator.render import applications, clusters, exposure, packages
from continuo.orchestrator.settings import RESERVED_PORTS, Settings
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, deleting, labels_of
from continuo.resources.orchestration import AppSpec, ClusterSpec, ComponentSpec


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an item cannot be made as declared."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ClusterWanted:
    """A declared cluster; `objects` is None for an adopted one."""

    spec: ClusterSpec
    objects: clusters.ClusterObjects | None
    packages: Mapping[str, Object]
    pool: tuple[Object, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkWanted:
    """A link to be kept: declared, or needed by applications that span its clusters."""

    pair: tuple[str, str]
    declared: bool
    needed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComponentWanted:
    """One component with its place and its objects in the home cluster."""

    spec: ComponentSpec
    cluster: str
    """Empty while it has no place."""
    objects: tuple[Object, ...]
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class AppWanted:
    """One application: what its components share, and the components."""

    spec: AppSpec
    home: str
    remotes: tuple[str, ...]
    shared: tuple[Object, ...]
    offloading: Object | None
    """The NamespaceOffloading, when there are other clusters and all their Liqo IDs are known."""
    components: Mapping[str, ComponentWanted]
    problem: Problem | None = None
    remote_ids: Mapping[str, str] = field(default_factory=dict)
    """The Liqo IDs of its remotes, as far as they are known."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an orchestration asks for; empty when it is being deleted."""

    clusters: Mapping[str, ClusterWanted]
    links: Mapping[tuple[str, str], LinkWanted]
    apps: Mapping[str, AppWanted]


def orient(snapshot: Snapshot, settings: Settings) -> Wanted:
    """The desired state of one orchestration, as objects."""
    if snapshot.deleting:
        return Wanted({}, {}, {})
    namespace, name = snapshot.key
    spec = snapshot.orchestration.spec
    wanted = {c.name: _cluster(namespace, name, c, snapshot, settings) for c in spec.clusters}
    taken = _PublicPlan(settings)
    apps = {app.name: _app(snapshot, app, wanted, taken, settings) for app in spec.apps}
    return Wanted(wanted, _links(snapshot, apps), apps)


def _cluster(
    namespace: str, orchestration: str, spec: ClusterSpec, snapshot: Snapshot, settings: Settings
) -> ClusterWanted:
    if spec.existing:
        return ClusterWanted(spec, None, {})
    objects = clusters.render_cluster(namespace, orchestration, spec)
    seen = snapshot.clusters.get(spec.name)
    address = spec.public_ip or _endpoint_address(seen)
    pool = packages.render_address_pool(namespace, orchestration, address) if address else ()
    return ClusterWanted(
        spec=spec,
        objects=_keep_immutable(objects, seen, clusters.infrastructure_of(spec).fixed),
        packages=packages.render_packages(namespace, orchestration, spec, settings),
        pool=pool if "loadbalancer" in packages.packages_of(spec) else (),
    )


def _endpoint_address(seen: ClusterSeen | None) -> str | None:
    if seen is None or seen.cluster is None:
        return None
    endpoint = (seen.cluster.get("spec") or {}).get("controlPlaneEndpoint") or {}
    return endpoint.get("host") or None


FIXED = tuple(name for infrastructure in clusters.INFRASTRUCTURES for name in infrastructure.fixed)
"""Fields of infrastructure clusters that their provider lets nobody change."""


def _keep_immutable(
    objects: clusters.ClusterObjects, seen: ClusterSeen | None, fixed: tuple[str, ...]
) -> clusters.ClusterObjects:
    """Declare for what cannot change later what the cluster was created with: else every other change is refused too."""
    live = seen.infrastructure if seen else None
    if live is None:
        return objects
    infrastructure, made = objects.supporting[0], live.get("spec") or {}
    declared = infrastructure["spec"]
    differing = [
        field for field in fixed if (field in declared or field in made) and _differs(declared.get(field), made, field)
    ]
    if not differing:
        return objects
    spec = {field: value for field, value in declared.items() if field not in differing}
    spec |= {field: made[field] for field in differing if field in made}
    annotations = {k: v for k, v in annotations_of(infrastructure).items() if k != naming.APPLIED}
    metadata = {key: value for key, value in infrastructure["metadata"].items() if key != "annotations"}
    kept = {
        **infrastructure,
        "metadata": metadata | ({"annotations": annotations} if annotations else {}),
        "spec": spec,
    }
    return replace(objects, supporting=(naming.sealed(kept), *objects.supporting[1:]))


def _differs(declared: object, made: Object, field: str) -> bool:
    return declared is None or field not in made or bool(tuple(differences(declared, made[field])))


place = default_place
"""The cluster of a component as it is carried out; None while the scheduler has not said."""


class _PublicPlan:
    """Who holds which port of each cluster's shared public address, and which DNS name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._holders: dict[tuple[str, str, int], str] = {}
        self._hosts: dict[tuple[str, str], str] = {}

    def claim(self, cluster: str, app: AppSpec, component: ComponentSpec) -> Problem | None:
        """Take what the component needs, or say who has it."""
        return self._ports(cluster, app, component) or self._names(cluster, app, component)

    def _names(self, cluster: str, app: AppSpec, component: ComponentSpec) -> Problem | None:
        for host in exposure.hosts(app, component, self._settings).values():
            holder = self._hosts.get((cluster, host))
            if holder:
                return Problem(
                    "HostConflict",
                    f"host {host} on cluster {cluster} is served by {holder} already; choose another host",
                )
            self._hosts[(cluster, host)] = f"component {app.name}/{component.name}"
        return None

    def _ports(self, cluster: str, app: AppSpec, component: ComponentSpec) -> Problem | None:
        for expose in component.expose:
            if not expose.is_public or exposure.is_web(component, expose):
                continue
            port = (exposure.transport(expose), expose.cluster_port)
            holder = RESERVED_PORTS.get(port) or self._holders.get((cluster, *port))
            if holder:
                return Problem(
                    "PortConflict",
                    f"{port[0]} port {port[1]} of the public address of cluster {cluster} belongs to {holder}; "
                    "choose another clusterPort",
                )
            self._holders[(cluster, *port)] = f"component {app.name}/{component.name}"
        return None


def _app(
    snapshot: Snapshot,
    app: AppSpec,
    wanted: Mapping[str, ClusterWanted],
    taken: _PublicPlan,
    settings: Settings,
) -> AppWanted:
    namespace, orchestration = snapshot.key
    declared = {name: cluster.spec for name, cluster in wanted.items()}
    places = {component.name: place(app, component, declared) or "" for component in app.components}
    ids = {name: _liqo_id(snapshot.clusters.get(name)) for name in {*places.values(), app.cluster} if name}
    components = {
        component.name: _component(
            snapshot, app, component, places[component.name], ids, wanted.get(app.cluster), taken, settings
        )
        for component in app.components
    }
    shared = _shared(snapshot, app)
    remotes = tuple(sorted({cluster for cluster in places.values() if cluster and cluster != app.cluster}))
    remote_ids = [ids[name] for name in remotes]
    home_id = ids[app.cluster]
    offload = None
    if remotes and home_id and all(remote_ids):
        metadata = naming.owner_labels(namespace, orchestration)
        body = offloading.offload(app.name, home_id, [i for i in remote_ids if i])
        body = {
            **body,
            "metadata": {**body["metadata"], "labels": {**metadata, naming.APPLICATION: app.name}},
        }
        offload = naming.sealed(body)
    return AppWanted(
        spec=app,
        home=app.cluster,
        remotes=remotes,
        shared=shared,
        offloading=offload,
        components=_without_clashes(app, shared, components),
        problem=_app_problem(snapshot, app, declared),
        remote_ids={name: found for name in remotes if (found := ids[name])},
    )


def _without_clashes(
    app: AppSpec, shared: tuple[Object, ...], components: Mapping[str, ComponentWanted]
) -> dict[str, ComponentWanted]:
    """Names are joined from parts, so two components may mean one object (`a` with `b-c`, `a-b` with `c`).

    The first has it; the other one is refused, or they would overwrite each other for ever.
    """
    holders = {(obj["kind"], obj["metadata"]["name"]): "what the application's components share" for obj in shared}
    found: dict[str, ComponentWanted] = {}
    for name, component in components.items():
        made = [(obj["kind"], obj["metadata"]["name"]) for obj in component.objects]
        clash = next((key for key in made if key in holders), None)
        if clash is None:
            holders.update(dict.fromkeys(made, f"component {app.name}/{name}"))
            found[name] = component
            continue
        message = (
            f"component {app.name}/{name} needs {clash[0]} {clash[1]}, which belongs to {holders[clash]}; "
            "rename the component, or what its name was joined with"
        )
        found[name] = replace(component, objects=(), problem=Problem("NameConflict", message))
    return found


def _liqo_id(seen: ClusterSeen | None) -> str | None:
    caches = seen.workload.caches if seen else None
    return state.cluster_id(caches) if caches is not None else None


def _shared(snapshot: Snapshot, app: AppSpec) -> tuple[Object, ...]:
    """The namespace and the Secrets copied from beside the orchestration."""
    namespace, orchestration = snapshot.key
    labels = {**naming.owner_labels(namespace, orchestration), naming.APPLICATION: app.name}
    used = {use.name for component in app.components for use in applications.secrets_used(component)}
    copies = [
        naming.sealed(applications.copy_secret(snapshot.secrets[name], app, labels))
        for name in sorted(used)
        if name in snapshot.secrets
    ]
    space = applications.render_namespace(namespace, orchestration, app)
    return (naming.sealed(_taken_over(space, _namespace(snapshot.clusters.get(app.cluster), app.name))), *copies)


def _taken_over(space: Object, live: Object | None) -> Object:
    """The namespace as ours, even where Liqo made it for a home that is lost: else that home would delete it on its return.

    Liqo deletes only what names its own map. So another value first, which makes the mark ours, then none.
    """
    if live is None or annotations_of(live).get(names.BY_NAMESPACE_MAP, naming.MANAGER) == naming.MANAGER:
        return space
    annotations = {**annotations_of(space), names.BY_NAMESPACE_MAP: naming.MANAGER}
    return {**space, "metadata": {**space["metadata"], "annotations": annotations}}


def _app_problem(snapshot: Snapshot, app: AppSpec, declared: Mapping[str, ClusterSpec]) -> Problem | None:
    if app.cluster not in declared:
        known = ", ".join(sorted(declared)) or "none"
        return Problem(
            "ClusterUnknown",
            f"application {app.name} names cluster {app.cluster}; declared clusters: {known}",
        )
    live = _namespace(snapshot.clusters.get(app.cluster), app.name)
    if live is None or deleting(live) or naming.made_for(live, snapshot.key) or _moves(snapshot, app):
        return None
    owner = "/".join(naming.owner(live) or ())
    return Problem(
        "NamespaceTaken",
        f"namespace {app.name} on cluster {app.cluster} belongs to "
        f"{f'orchestration {owner}' if owner else 'somebody else'}; rename the application",
    )


def _namespace(seen: ClusterSeen | None, name: str) -> Object | None:
    caches = seen.workload.caches if seen else None
    return caches.get(kinds.NAMESPACE, name) if caches is not None else None


def _moves(snapshot: Snapshot, app: AppSpec) -> bool:
    """Whether it still lives on another cluster: then the namespace here is the twin that Liqo made of that one."""
    others = (_namespace(seen, app.name) for name, seen in snapshot.clusters.items() if name != app.cluster)
    if any(space is not None and naming.owner(space) == snapshot.key for space in others):
        return True
    return _twin_of_unseen(snapshot, app)


def _twin_of_unseen(snapshot: Snapshot, app: AppSpec) -> bool:
    """Whether Liqo made the namespace for one of our clusters into which we never saw: lost, and we are new.

    A created cluster's Liqo ID is its name; an adopted one's nobody knows then, but copies of our objects tell.
    """
    home = snapshot.clusters.get(app.cluster)
    caches = home.workload.caches if home is not None else None
    twin = caches.get(kinds.NAMESPACE, app.name) if caches is not None else None
    if caches is None or twin is None or names.BY_NAMESPACE_MAP not in annotations_of(twin):
        return False
    unseen = [seen for seen in snapshot.clusters.values() if seen.workload.caches is None]
    origin = labels_of(twin).get(names.REMOTE_CLUSTER_ID)
    if any(seen.full_name == origin for seen in unseen if not seen.adopted):
        return True
    copies = (obj for kind in (kinds.SERVICE, kinds.SECRET) for obj in caches.owned(kind, snapshot.key))
    return any(seen.adopted for seen in unseen) and any(obj["metadata"]["namespace"] == app.name for obj in copies)


def _component(
    snapshot: Snapshot,
    app: AppSpec,
    component: ComponentSpec,
    cluster: str,
    ids: Mapping[str, str | None],
    home: ClusterWanted | None,
    taken: _PublicPlan,
    settings: Settings,
) -> ComponentWanted:
    namespace, orchestration = snapshot.key
    if not cluster:
        return ComponentWanted(component, "", ())
    problem = _component_problem(snapshot, app, component, cluster) or taken.claim(app.cluster, app, component)
    remote = cluster != app.cluster
    remote_id = ids[cluster] if remote else None
    if problem is not None or (remote and remote_id is None):
        return ComponentWanted(component, cluster, (), problem)
    seen = snapshot.clusters.get(app.cluster)
    objects = applications.render_component(
        namespace,
        orchestration,
        app,
        component,
        applications.Place(cluster, remote_id),
        seen.workload.entrance if seen else exposure.Entrance(),
        packages.shared_address(home.spec) if home else {},
        settings,
        applications.environment_mark(app, component, snapshot.secrets),
    )
    return ComponentWanted(component, cluster, objects)


def _component_problem(snapshot: Snapshot, app: AppSpec, component: ComponentSpec, cluster: str) -> Problem | None:
    if cluster not in {spec.name for spec in snapshot.orchestration.spec.clusters}:
        return Problem("ClusterUnknown", f"component {app.name}/{component.name} names cluster {cluster}, undeclared")
    for use in applications.secrets_used(component):
        secret = snapshot.secrets.get(use.name)
        if secret is None:
            return Problem(
                "SecretMissing",
                f"component {app.name}/{component.name} needs Secret {snapshot.key[0]}/{use.name}, which {use.purpose}; "
                "create it in the orchestration's namespace",
            )
        if use.type and secret.get("type") != use.type:
            return Problem(
                "SecretWrongType",
                f"Secret {snapshot.key[0]}/{use.name}, which {use.purpose}, is of type {secret.get('type')}; "
                f"it has to be {use.type}",
            )
    return None


def _links(snapshot: Snapshot, apps: Mapping[str, AppWanted]) -> dict[tuple[str, str], LinkWanted]:
    declared = {naming.pair(*link) for link in snapshot.orchestration.spec.links}
    needed: dict[tuple[str, str], list[str]] = {}
    for app in apps.values():
        for remote in app.remotes if app.problem is None else ():
            needed.setdefault(naming.pair(app.home, remote), []).append(app.spec.name)
    return {
        link: LinkWanted(link, link in declared, tuple(needed.get(link, ()))) for link in sorted(declared | set(needed))
    }
