"""How far each item is: pure readings of observed objects, shared by `decide` (what may go on) and `status` (what to say)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from continuo.orchestrator import naming, rollouts
from continuo.orchestrator.observe import ClusterSeen, Reach, simulated
from continuo.orchestrator.orient import ClusterWanted
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, condition, deleting, is_true
from continuo.resources.orchestration import AppPhase, ClusterPhase, PackagePhase


@dataclass(frozen=True, slots=True)
class ClusterState:
    """A cluster's phase; `usable` says whether links and applications may count on it."""

    phase: ClusterPhase
    reason: str
    message: str
    usable: bool = False
    nodes_ready: bool = False
    """All machines are nodes and Ready: what the seed calls a ready cluster; packages follow."""
    control_plane: tuple[int, int] = (0, 0)
    """Ready and desired."""
    workers: tuple[int, int] = (0, 0)
    version: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class PackageState:
    phase: PackagePhase
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ComponentState:
    phase: AppPhase
    reason: str
    message: str
    ready: int = 0
    desired: int = 0
    settled: bool = False
    """The newest declaration runs and nothing of an older one is left."""


def package_states(seen: ClusterSeen, wanted: ClusterWanted) -> dict[str, PackageState]:
    """Each package's state by name."""
    return {package: _package(seen, package, proxy["metadata"]["name"]) for package, proxy in wanted.packages.items()}


def _package(seen: ClusterSeen, package: str, proxy_name: str) -> PackageState:
    proxy = seen.made.get((kinds.HELM_CHART_PROXY.kind, proxy_name))
    if proxy is None:
        return PackageState(PackagePhase.PENDING, "NotRequested", f"package {package} is not requested yet")
    release = seen.releases.get(proxy_name)
    if release is None:
        return PackageState(
            PackagePhase.INSTALLING, "WaitingForRelease", "the Helm add-on provider has not picked it up yet"
        )
    ready = condition(release, "HelmReleaseReady") or condition(release, "Ready")
    fresh = _revision_fresh(proxy, release)
    if ready is not None and ready.get("status") == "True" and fresh:
        return PackageState(PackagePhase.READY, "Installed", "")
    message = str((ready or {}).get("message") or "Helm is installing the release")
    reason = str((ready or {}).get("reason") or "Installing")
    if (release.get("status") or {}).get("status") == "failed" or reason in _FAILED_REASONS:
        return PackageState(PackagePhase.FAILED, reason, message)
    return PackageState(PackagePhase.INSTALLING, reason, message)


_FAILED_REASONS = frozenset({"HelmInstallOrUpgradeFailed", "ChartNotFound", "ValueParsingFailed", "Failed"})


def _revision_fresh(proxy: Object, release: Object) -> bool:
    """Whether the release was made from the proxy's present values and chart."""
    wanted, have = proxy.get("spec") or {}, release.get("spec") or {}
    return all(
        wanted.get(key) == have.get(key) for key in ("chartName", "repoURL", "version") if have.get(key) is not None
    )


def cluster_state(seen: ClusterSeen, wanted: ClusterWanted | None, before: ClusterPhase | None) -> ClusterState:
    """Where a cluster stands. `before` is its last reported phase: a cluster that was ready once scales or degrades,
    one that never was is still being provisioned.
    """
    if wanted is not None and wanted.spec.existing:
        return _adopted(seen)
    cluster = seen.cluster
    if cluster is None:
        return ClusterState(ClusterPhase.PENDING, "NotCreated", "the cluster does not exist yet")
    endpoint = _endpoint(cluster)
    if deleting(cluster):
        said = condition(cluster, "Deleting") or {}
        return ClusterState(
            ClusterPhase.DELETING, str(said.get("reason") or "Deleting"),
            str(said.get("message") or "Cluster API is deleting the cluster"), endpoint=endpoint,
        )  # fmt: skip
    control_plane, workers = rollouts.parts(seen)
    counts = _counts(control_plane), _counts(workers)
    version = str(((control_plane or {}).get("status") or {}).get("version") or "") or None
    made_up = ClusterState(
        ClusterPhase.READY,
        "Ready",
        "",
        control_plane=counts[0],
        workers=counts[1],
        version=version,
        endpoint=endpoint,
    )
    busy = _busy(seen, control_plane, workers, before)
    if busy is not None:
        phase, reason, message = busy
        nodes_ready = False
        usable = _was_up(before) and seen.workload.reach is Reach.OK
        return _with(made_up, phase, reason, message, usable=usable, nodes_ready=nodes_ready)
    if simulated(cluster):
        return _simulated(made_up, cluster, before)
    if seen.workload.reach is not Reach.OK:
        phase = ClusterPhase.DEGRADED if _was_up(before) else ClusterPhase.PROVISIONING
        message = seen.workload.message or "connecting to the cluster's API"
        reason = "Unreachable" if seen.workload.reach is Reach.LOST else "Connecting"
        return _with(made_up, phase, reason, message, usable=False, nodes_ready=True)
    return _with_packages(made_up, seen, wanted, before)


def _simulated(state: ClusterState, cluster: Object, before: ClusterPhase | None) -> ClusterState:
    """Nothing is put on a simulated cluster, so its API is not followed: Cluster API says whether it answers."""
    probe = condition(cluster, "RemoteConnectionProbe") or {}
    if probe.get("status") != "False":
        return _with(state, ClusterPhase.READY, "Ready", "", usable=True, nodes_ready=True)
    phase = ClusterPhase.DEGRADED if _was_up(before) else ClusterPhase.PROVISIONING
    message = str(probe.get("message") or "Cluster API cannot reach the cluster's API")
    return _with(state, phase, str(probe.get("reason") or "Unreachable"), message, usable=False, nodes_ready=True)


def _with(
    state: ClusterState, phase: ClusterPhase, reason: str, message: str, *, usable: bool, nodes_ready: bool
) -> ClusterState:
    return ClusterState(
        phase,
        reason,
        message,
        usable,
        nodes_ready,
        state.control_plane,
        state.workers,
        state.version,
        state.endpoint,
    )


def _with_packages(
    state: ClusterState, seen: ClusterSeen, wanted: ClusterWanted | None, before: ClusterPhase | None
) -> ClusterState:
    if wanted is None:
        return _with(state, ClusterPhase.READY, "Ready", "", usable=True, nodes_ready=True)
    waiting = {
        name: package
        for name, package in package_states(seen, wanted).items()
        if package.phase is not PackagePhase.READY
    }
    if not waiting:
        return _with(state, ClusterPhase.READY, "Ready", "", usable=True, nodes_ready=True)
    failed = [name for name, package in waiting.items() if package.phase is PackagePhase.FAILED]
    told = failed[0] if failed else next(iter(waiting))
    phase = ClusterPhase.DEGRADED if failed else ClusterPhase.INSTALLING_PACKAGES
    if _was_up(before) and not failed:
        phase = ClusterPhase.INSTALLING_PACKAGES
    return _with(
        state, phase, "PackageFailed" if failed else "PackagesNotReady", f"{told}: {waiting[told].message}",
        usable=True, nodes_ready=True,
    )  # fmt: skip


def _was_up(before: ClusterPhase | None) -> bool:
    return before in (
        ClusterPhase.READY, ClusterPhase.SCALING, ClusterPhase.UPGRADING, ClusterPhase.DEGRADED,
        ClusterPhase.INSTALLING_PACKAGES,
    )  # fmt: skip


def _adopted(seen: ClusterSeen) -> ClusterState:
    if seen.kubeconfig is None:
        return ClusterState(
            ClusterPhase.PENDING, "KubeconfigMissing",
            f"Secret {seen.secret} with the cluster's kubeconfig (key `value`) does not exist; create it",
        )  # fmt: skip
    if seen.workload.reach is Reach.OK:
        return ClusterState(ClusterPhase.READY, "Ready", "", usable=True, nodes_ready=True)
    lost = seen.workload.reach is Reach.LOST
    return ClusterState(
        ClusterPhase.DEGRADED if lost else ClusterPhase.PENDING,
        "Unreachable" if lost else "Connecting",
        seen.workload.message or "connecting to the cluster's API",
    )


def _endpoint(cluster: Object) -> str | None:
    endpoint = (cluster.get("spec") or {}).get("controlPlaneEndpoint") or {}
    return f"https://{endpoint['host']}:{endpoint.get('port', 6443)}" if endpoint.get("host") else None


def _counts(part: Object | None) -> tuple[int, int]:
    if part is None:
        return 0, 0
    return int((part.get("status") or {}).get("readyReplicas") or 0), int((part.get("spec") or {}).get("replicas") or 0)


def initialized(cluster: Object) -> bool:
    """Whether the workload cluster's API has answered once."""
    status = cluster.get("status") or {}
    return bool((status.get("initialization") or {}).get("controlPlaneInitialized")) or is_true(
        cluster, "ControlPlaneInitialized"
    )


def _busy(
    seen: ClusterSeen,
    control_plane: Object | None,
    workers: Object | None,
    before: ClusterPhase | None,
) -> tuple[ClusterPhase, str, str] | None:
    """What is under way in Cluster API, or None when all machines are ready nodes."""
    cluster = seen.cluster
    if cluster is None or not initialized(cluster):
        return ClusterPhase.PROVISIONING, *_blocker(seen)
    if rollouts.rolled_out(control_plane) and rollouts.workers_rolled_out(seen):
        return None
    if not _was_up(before):
        return ClusterPhase.PROVISIONING, *_blocker(seen)
    if said := rollouts.rolling(seen):
        return ClusterPhase.UPGRADING, "MachinesRolling", said
    parts = (("control plane", control_plane), ("workers", workers))
    resizing = [
        f"{name} {(part.get('status') or {}).get('replicas', 0)} -> {part['spec'].get('replicas', 0)}"
        for name, part in parts
        if part is not None
        and int((part.get("status") or {}).get("replicas") or 0) != int(part["spec"].get("replicas") or 0)
    ]
    if resizing or before is ClusterPhase.SCALING:
        return ClusterPhase.SCALING, "MachinesChanging", ", ".join(resizing) or _blocker(seen)[1]
    said = rollouts.unseen(seen)
    if said or before is ClusterPhase.UPGRADING:
        return ClusterPhase.UPGRADING, "MachinesRolling", said or _blocker(seen)[1]
    return ClusterPhase.DEGRADED, *_blocker(seen)


def _blocker(seen: ClusterSeen) -> tuple[str, str]:
    """The most telling reason why a cluster is not up: credentials, infrastructure, then the slowest machine."""
    infrastructure = seen.infrastructure
    if infrastructure is not None:
        for entry in (infrastructure.get("status") or {}).get("conditions") or ():
            if entry.get("status") == "False" and entry.get("message"):
                reason = str(entry.get("reason") or entry["type"])
                return reason, f"{infrastructure['kind']}: {_one_line(entry['message'])}"
    waiting = [machine for machine in seen.machines if not is_true(machine, "NodeReady")]
    for machine in sorted(waiting, key=lambda m: str(m["metadata"].get("creationTimestamp"))):
        if said := _machine_message(machine):
            return "MachinesNotReady", said
    if waiting:
        return "MachinesNotReady", f"{len(waiting)} of {len(seen.machines)} machines are not ready"
    if seen.cluster is not None and (told := condition(seen.cluster, "Available")) and told.get("message"):
        return str(told.get("reason") or "NotAvailable"), _one_line(told["message"])
    return "WaitingForMachines", "Cluster API is creating the first machine"


def _one_line(text: str) -> str:
    """Cluster API's nested lists of reasons as one line."""
    lines = [line.strip().removeprefix("* ") for line in str(text).splitlines() if line.strip()]
    return "; ".join(lines).replace(":; ", ": ")


def _machine_message(machine: Object) -> str:
    name = machine["metadata"]["name"]
    phase = (machine.get("status") or {}).get("phase") or "Pending"
    for type_ in ("InfrastructureReady", "BootstrapConfigReady", "NodeReady", "Ready"):
        found = condition(machine, type_)
        if found is not None and found.get("status") != "True" and found.get("message"):
            return f"machine {name} ({phase}): {_one_line(found['message'])}"
    return f"machine {name} is {phase}"


def component_state(
    deployment: Object | None, wanted_hash: str | None, pods: Iterable[Object], moved_from: str | None
) -> ComponentState:
    """How far a component's Deployment is; `pods` are those that do not run, to say why."""
    if deployment is None:
        return ComponentState(AppPhase.PENDING, "NotDeployed", "the component is not deployed yet")
    spec, status = deployment.get("spec") or {}, deployment.get("status") or {}
    desired, ready = int(spec.get("replicas") or 0), int(status.get("readyReplicas") or 0)
    observed = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 0)
    updated = int(status.get("updatedReplicas") or 0)
    total = int(status.get("replicas") or 0)
    current = wanted_hash is None or annotations_of(deployment).get(naming.APPLIED) == wanted_hash
    current = current and moved_from is None  # one that cannot be rendered yet, for want of a link, is where it was
    settled = current and observed and updated == desired and total == desired
    if settled and ready >= desired:
        return ComponentState(AppPhase.RUNNING, "Running", "", ready, desired, True)
    trouble = _trouble(pods)
    if trouble is not None:
        return ComponentState(AppPhase.DEGRADED, trouble[0], trouble[1], ready, desired, settled)
    if moved_from is not None or (not settled and ready):
        phase = AppPhase.MOVING if moved_from is not None else AppPhase.UPDATING
        told = f"it still runs on {moved_from}" if moved_from is not None else f"{updated} of {desired} pods are new"
        return ComponentState(phase, "RollingOut", told, ready, desired, settled)
    failing = condition(deployment, "Progressing")
    if failing is not None and failing.get("status") == "False":
        return ComponentState(
            AppPhase.DEGRADED,
            str(failing.get("reason")),
            str(failing.get("message")),
            ready,
            desired,
            settled,
        )
    return ComponentState(
        AppPhase.DEPLOYING, "PodsNotReady", f"{ready} of {desired} pods are ready", ready, desired, settled
    )


_WAITS = frozenset({"ContainerCreating", "PodInitializing"})


def _trouble(pods: Iterable[Object]) -> tuple[str, str] | None:
    """The first reason that a pod itself gives for not running."""
    for pod in pods:
        status = pod.get("status") or {}
        name = pod["metadata"]["name"]
        for container in status.get("containerStatuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") and waiting["reason"] not in _WAITS:
                return str(waiting["reason"]), f"pod {name}: {waiting.get('message') or waiting['reason']}"
        scheduled = condition(pod, "PodScheduled")
        if scheduled is not None and scheduled.get("status") == "False":
            reason = str(scheduled.get("reason") or "Unschedulable")  # a virtual kubelet gives no message
            return reason, f"pod {name}: {scheduled.get('message') or reason}"
    return None


def phases_before(status: Object | None, clusters: Mapping[str, ClusterSeen]) -> Mapping[str, ClusterPhase]:
    """Each cluster's last reported phase, by name; `Scaling` where other counts are wanted since."""
    found: dict[str, ClusterPhase] = {}
    for entry in (status or {}).get("clusters") or ():
        if entry.get("phase") in ClusterPhase._value2member_map_:
            phase = ClusterPhase(entry["phase"])
            seen = clusters.get(entry["name"])
            scaled = phase is ClusterPhase.READY and seen is not None and _counts_differ(entry, seen)
            found[entry["name"]] = ClusterPhase.SCALING if scaled else phase
    return found


def _counts_differ(entry: Object, seen: ClusterSeen) -> bool:
    """Cluster API counts a machine from the moment it is asked for, so its own counts do not tell scaling from a loss."""
    if seen.cluster is None:
        return False
    control_plane, workers = (_counts(part)[1] for part in rollouts.parts(seen))
    return (entry.get("controlPlaneDesired") or 0, entry.get("workersDesired") or 0) != (control_plane, workers)
