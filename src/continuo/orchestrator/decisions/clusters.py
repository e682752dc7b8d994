"""What has to happen to clusters and their packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from continuo.federation import offloading
from continuo.orchestrator import naming, rollouts, states
from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.observe import MANAGEMENT_KINDS, OWNED_KINDS, ClusterSeen, Reach, Snapshot
from continuo.orchestrator.orient import ClusterWanted, Wanted
from continuo.orchestrator.plan import MANAGEMENT, Action, Draft, Step, Target, Write
from continuo.orchestrator.render import clusters
from continuo.orchestrator.settings import Settings
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, deleting, key_of, labels_of
from continuo.resources.orchestration import PackagePhase

Compare = Callable[[Object, Object | None], tuple[str, ...]]

_KINDS: dict[str, Kind] = {
    kind.kind: kind
    for kind in (
        *MANAGEMENT_KINDS, *OWNED_KINDS, *offloading.COPIED_KINDS, kinds.NAMESPACE_OFFLOADING,
    )
}  # fmt: skip
_TEMPLATES = {
    *(infrastructure.machine_template.kind for infrastructure in clusters.INFRASTRUCTURES),
    *(kind.kind for kind in clusters.BOOTSTRAPS.values()),
}


def kind_of(obj: Object) -> Kind:
    """The Kind of an object that Continuo makes."""
    return _KINDS[obj["kind"]]


def apply(cluster: str, obj: Object) -> Write:
    return Write(cluster, "apply", kind_of(obj), obj)


def delete(cluster: str, obj: Object) -> Write:
    namespace, name = key_of(obj)
    kind = kind_of(obj)
    return Write(cluster, "delete", kind, kind.new(name, namespace))


def step_id(cluster: str) -> str:
    """The id under which others wait for a cluster: open while it is not ready for packages, links and applications."""
    return f"cluster/{cluster}"


def package_id(cluster: str, package: str) -> str:
    return f"package/{cluster}/{package}"


def decide_clusters(
    draft: Draft,
    snapshot: Snapshot,
    wanted: Wanted,
    assessment: Assessment,
    settings: Settings,
    compare: Compare,
) -> None:
    """Create, scale, upgrade, repair; install packages. Removal is decided apart, because it waits for others."""
    budget = settings.provisioning_limit - len(snapshot.provisioning)
    for name, cluster in wanted.clusters.items():
        seen, state = snapshot.clusters[name], assessment.clusters[name]
        if cluster.objects is None:
            if not state.usable:
                draft.add(_wait(name, state))
            continue
        if seen.stranger is not None:
            _refuse_stranger(draft, name, seen.stranger)
            continue
        if seen.cluster is None and not _taken(snapshot, seen):
            budget -= 1
        _one(draft, snapshot, name, seen, cluster, state, compare, queued=seen.cluster is None and budget < 0)
        _packages(draft, name, seen, cluster, assessment.packages[name], compare)


def _refuse_stranger(draft: Draft, name: str, stranger: Object) -> None:
    """Names are joined from two, so `a` with `b-c` and `a-b` with `c` mean one Cluster; or a person made it."""
    owner = "/".join(naming.owner(stranger) or ())
    whose = f"is cluster {labels_of(stranger).get(naming.CLUSTER)} of orchestration {owner}" if owner else "is not ours"
    target, (_, full_name) = Target("cluster", name), key_of(stranger)
    draft.refuse(target, "NameTaken", f"Cluster {full_name} exists and {whose}; rename cluster {name}")
    draft.add(Step(step_id(name), Action.WAIT, target, waits_for=f"the name {full_name} to be free"))


def _taken(snapshot: Snapshot, seen: ClusterSeen) -> bool:
    return (snapshot.key[0], seen.full_name) in snapshot.provisioning


def _wait(name: str, state: states.ClusterState) -> Step:
    waits_for = state.message or "the cluster to be ready"
    return Step(step_id(name), Action.WAIT, Target("cluster", name), waits_for=waits_for)


def _one(
    draft: Draft,
    snapshot: Snapshot,
    name: str,
    seen: ClusterSeen,
    wanted: ClusterWanted,
    state: states.ClusterState,
    compare: Compare,
    *,
    queued: bool,
) -> None:
    target = Target("cluster", name)
    if seen.cluster is not None and deleting(seen.cluster):
        draft.add(Step(step_id(name), Action.WAIT, target, waits_for="the old cluster of that name to be deleted"))
        return
    unserved = provider_problem(snapshot, wanted)
    if unserved is not None:
        draft.refuse(target, "ProviderMissing", unserved)
        draft.add(_wait(name, state))
        return
    if seen.cluster is None:
        _create(draft, snapshot, name, wanted, queued=queued)
        return
    problem, late = version_problem(name, seen, wanted), fixed_problem(name, seen, wanted)
    if late is not None:
        draft.refuse(target, "Immutable", late)
    if problem is not None:
        draft.refuse(target, "VersionSkew", problem)
    else:
        _change(draft, name, seen, wanted, compare)
    if not state.usable:
        draft.add(_wait(name, state))


_PROVIDERS = {
    "Cluster": "Cluster API itself",
    **{entry.cluster.kind: f"the infrastructure provider {entry.name}" for entry in clusters.INFRASTRUCTURES},
    **{kind.kind: f"the control-plane provider {name}" for name, kind in clusters.CONTROL_PLANES.items()},
    **{kind.kind: f"the bootstrap provider {name}" for name, kind in clusters.BOOTSTRAPS.items()},
}


def provider_problem(snapshot: Snapshot, wanted: ClusterWanted) -> str | None:
    """Which Cluster API provider the cluster needs and the management cluster does not have."""
    if wanted.objects is None:
        return None
    needed = dict.fromkeys(obj["kind"] for obj in wanted.objects.all())
    lacking = [_PROVIDERS[kind] for kind in needed if kind in snapshot.missing and kind in _PROVIDERS]
    if not lacking:
        return None
    installed = [name for name, kind in clusters.CONTROL_PLANES.items() if kind.kind not in snapshot.missing]
    machines = [entry.name for entry in clusters.INFRASTRUCTURES if entry.cluster.kind not in snapshot.missing]
    return (
        f"cluster {wanted.spec.name} needs {' and '.join(sorted(lacking))}, which the management cluster does not have; "
        f"install it, or choose a kubernetes-type that is installed ({', '.join(installed) or 'none is'}), "
        f"on infrastructure that is ({', '.join(machines) or 'none is'})"
    )


def fixed_problem(name: str, seen: ClusterSeen, wanted: ClusterWanted) -> str | None:
    """Which wish comes too late: the infrastructure provider fixes the cluster's way in from outside when it is made."""
    if seen.infrastructure is None or wanted.objects is None:
        return None
    made, spec = seen.infrastructure.get("spec") or {}, wanted.spec
    wishes = clusters.infrastructure_of(spec).wishes(spec, made)
    late = [f"{field} {wish or 'none'} (it has {has or 'none'})" for field, wish, has in wishes if wish != has]
    if not late:
        return None
    return f"cluster {name} cannot get {' and '.join(late)} any more: put it back, or declare another cluster"


def _create(draft: Draft, snapshot: Snapshot, name: str, wanted: ClusterWanted, *, queued: bool) -> None:
    objects = wanted.objects
    if objects is None:
        return
    spec = wanted.spec
    detail = (
        f"{clusters.infrastructure_of(spec).name} {clusters.bootstrap_of(spec)} {clusters.version_of(spec)}, "
        f"control plane {spec.control_plane_count}, workers {spec.worker_machine_count}"
    ).strip()
    waits_for = f"a free place: {len(snapshot.provisioning)} clusters are being provisioned" if queued else ""
    writes = () if queued else tuple(apply(MANAGEMENT, obj) for obj in objects.all())
    draft.add(Step(step_id(name), Action.CREATE, Target("cluster", name), writes, detail=detail, waits_for=waits_for))


def _minor(version: str) -> tuple[int, int]:
    major, minor, *_ = version.lstrip("v").split(".")
    return int(major), int(minor)


def version_problem(name: str, seen: ClusterSeen, wanted: ClusterWanted) -> str | None:
    """Kubernetes goes up one minor version at a time and never down."""
    live = ((rollouts.control_plane_of(seen) or {}).get("spec") or {}).get("version")
    if not live or wanted.objects is None:
        return None
    target = clusters.version_of(wanted.spec)
    have, want = _minor(live), _minor(target)
    if want < have or (want == have and _patch(target) < _patch(live)):
        return f"cluster {name} runs {live}; kubernetes-version {target} is older, and Kubernetes cannot go back"
    if want[0] == have[0] and want[1] > have[1] + 1:
        return (
            f"cluster {name} runs {live}; kubernetes-version {target} skips a minor version, "
            f"go to v{have[0]}.{have[1] + 1} first"
        )
    return None


def _patch(version: str) -> int:
    digits = version.lstrip("v").split(".")[2].split("+")[0].split("-")[0]
    return int(digits)


def _live(seen: ClusterSeen, obj: Object) -> Object | None:
    return seen.made.get((obj["kind"], obj["metadata"]["name"]))


def _change(draft: Draft, name: str, seen: ClusterSeen, wanted: ClusterWanted, compare: Compare) -> None:
    """Bring an existing cluster's objects to their declaration; workers follow the control plane in an upgrade."""
    objects = wanted.objects
    if objects is None:
        return
    changed = [(obj, why) for obj in objects.all() if (why := compare(obj, _live(seen, obj)))]
    upgrading = _version_differs(objects.control_plane, _live(seen, objects.control_plane))
    control_plane_done = not upgrading and _control_plane_at(seen, objects)
    first: list[Object] = []
    after: list[Object] = []
    for obj, _ in changed:
        later = obj is objects.workers and _version_differs(obj, _live(seen, obj))
        (after if later else first).append(obj)
    if first:
        action, detail = _action(seen, objects, changed)
        writes = tuple(apply(MANAGEMENT, obj) for obj in first)
        draft.add(Step(f"{step_id(name)}/change", action, Target("cluster", name), writes, detail=detail))
    if after:
        needs = (f"{step_id(name)}/change",) if first else ()
        waits = "" if control_plane_done else "the control plane to run the new version"
        writes = tuple(apply(MANAGEMENT, obj) for obj in after) if control_plane_done else ()
        draft.add(
            Step(
                f"{step_id(name)}/workers", Action.UPGRADE, Target("cluster", name), writes, needs,
                f"workers -> {clusters.version_of(wanted.spec)}", waits,
            )
        )  # fmt: skip
    if not changed and rollouts.rolled_out(rollouts.control_plane_of(seen)):
        _prune(draft, name, seen, objects)


def _version_of(obj: Object | None) -> str | None:
    spec = (obj or {}).get("spec") or {}
    return spec.get("version") or ((spec.get("template") or {}).get("spec") or {}).get("version")


def _version_differs(desired: Object, live: Object | None) -> bool:
    return live is not None and _version_of(desired) != _version_of(live)


def _control_plane_at(seen: ClusterSeen, objects: clusters.ClusterObjects) -> bool:
    """Whether every control-plane machine runs the declared version."""
    live = _live(seen, objects.control_plane)
    if live is None or not rollouts.rolled_out(live):
        return False
    running = (live.get("status") or {}).get("version")
    return running is None or running == _version_of(objects.control_plane)


def _replicas(obj: Object | None) -> int | None:
    return ((obj or {}).get("spec") or {}).get("replicas")


def _action(
    seen: ClusterSeen, objects: clusters.ClusterObjects, changed: list[tuple[Object, tuple[str, ...]]]
) -> tuple[Action, str]:
    """What to call a change: the most telling word first."""
    details: list[str] = []
    action: Action | None = None
    parts = (("control plane", objects.control_plane), ("workers", objects.workers))
    for label, part in parts:
        live = _live(seen, part)
        if live is None:
            continue
        if _version_differs(part, live):
            action = Action.UPGRADE
            details.append(f"{label} {_version_of(live)} -> {_version_of(part)}")
        if _replicas(part) != _replicas(live):
            action = action or Action.SCALE
            details.append(f"{label} {_replicas(live)} -> {_replicas(part)}")
    if action is not None:
        return action, ", ".join(details)
    declared = all(why == ("declaration",) or (why == ("missing",) and o["kind"] in _TEMPLATES) for o, why in changed)
    told = "; ".join(
        f"{obj['kind']} {obj['metadata']['name']}: {'deleted' if why == ('missing',) else ', '.join(why)}"
        for obj, why in changed[:4]
    )
    return (Action.UPDATE, told) if declared else (Action.REPAIR, told)


def _prune(draft: Draft, name: str, seen: ClusterSeen, objects: clusters.ClusterObjects) -> None:
    """Delete our machine and bootstrap templates that nothing refers to any more."""
    keep = {(obj["kind"], obj["metadata"]["name"]) for obj in objects.all()}
    stale = [obj for key, obj in seen.made.items() if key[0] in _TEMPLATES and key not in keep and not deleting(obj)]
    if stale and rollouts.workers_rolled_out(seen):
        writes = tuple(delete(MANAGEMENT, obj) for obj in stale)
        draft.add(
            Step(
                f"{step_id(name)}/prune", Action.UPDATE, Target("cluster", name), writes,
                detail=f"remove {len(stale)} replaced templates",
            )
        )  # fmt: skip


def _packages(
    draft: Draft,
    name: str,
    seen: ClusterSeen,
    wanted: ClusterWanted,
    found: Mapping[str, states.PackageState],
    compare: Compare,
) -> None:
    for package, proxy in wanted.packages.items():
        target = Target("package", f"{name}/{package}")
        # The network plugin makes nodes ready, so it cannot wait for them.
        needs = () if package == "cni" else (step_id(name),)
        why = compare(proxy, _live(seen, proxy))
        if why:
            action = Action.INSTALL if why == ("missing",) else Action.UPDATE
            writes = (apply(MANAGEMENT, proxy),)
            chart = proxy["spec"]
            detail = f"{chart['chartName']} {chart['version']}"
            draft.add(Step(package_id(name, package), action, target, writes, needs, detail))
        elif found[package].phase is not PackagePhase.READY:
            draft.add(Step(package_id(name, package), Action.WAIT, target, waits_for=found[package].message))
    _address_pool(draft, name, seen, wanted, found, compare)
    stale = [
        obj
        for (kind, _), obj in seen.made.items()
        if kind == kinds.HELM_CHART_PROXY.kind
        and obj["metadata"]["labels"].get(naming.PACKAGE) not in wanted.packages
        and not deleting(obj)
    ]
    for obj in stale:
        package = obj["metadata"]["labels"].get(naming.PACKAGE, obj["metadata"]["name"])
        writes = (delete(MANAGEMENT, obj),)
        draft.add(Step(package_id(name, package), Action.UNINSTALL, Target("package", f"{name}/{package}"), writes))


def _address_pool(
    draft: Draft,
    name: str,
    seen: ClusterSeen,
    wanted: ClusterWanted,
    found: Mapping[str, states.PackageState],
    compare: Compare,
) -> None:
    installed = found.get("loadbalancer")
    caches = seen.workload.caches
    if installed is None or installed.phase is not PackagePhase.READY or seen.workload.reach is not Reach.OK:
        return
    changed = [
        obj
        for obj in wanted.pool
        if caches is not None and compare(obj, caches.get(kind_of(obj), obj["metadata"]["name"], "metallb-system"))
    ]
    if changed:
        writes = tuple(apply(name, obj) for obj in changed)
        target = Target("package", f"{name}/loadbalancer")
        address = wanted.pool[0]["spec"]["addresses"][0]
        draft.add(
            Step(
                f"{package_id(name, 'loadbalancer')}/pool",
                Action.UPDATE,
                target,
                writes,
                detail=f"pool {address}",
            )
        )
