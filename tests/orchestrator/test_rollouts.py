"""What Cluster API's counts mean while it works: more machines are no rollout, and a rollout that has begun is no loss."""

from __future__ import annotations

from continuo.orchestrator.observe import ClusterSeen
from continuo.orchestrator.states import ClusterState, cluster_state
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import ClusterPhase

INITIALIZED = {"initialization": {"controlPlaneInitialized": True}}


def part(
    kind: str, name: str, want: int, have: int, *, ready: int | None = None, newest: int | None = None, behind: int = 0
) -> Object:
    status = {
        "replicas": have,
        "readyReplicas": have if ready is None else ready,
        "upToDateReplicas": have if newest is None else newest,
        "observedGeneration": 3 - behind,
    }
    return {
        "kind": kind,
        "metadata": {"name": name, "generation": 3},
        "spec": {"replicas": want, "version": "v1.35.0"},
        "status": status,
    }


def machine(name: str, up_to_date: str | None, *, controls: bool = False) -> Object:
    conditions = [{"type": "NodeReady", "status": "True"}]
    conditions += [] if up_to_date is None else [{"type": "UpToDate", "status": up_to_date}]
    labels = {"cluster.x-k8s.io/control-plane": ""} if controls else {}
    return {"metadata": {"name": name, "labels": labels}, "status": {"conditions": conditions}}


def state(before: ClusterPhase, *machines: Object, control_plane: Object | None = None, **workers: int) -> ClusterState:
    parts = [
        {"kind": "Cluster", "metadata": {"name": "o-green"}, "status": INITIALIZED},
        control_plane or part("KubeadmControlPlane", "o-green-cp", 1, 1),
        part(kinds.MACHINE_DEPLOYMENT.kind, "o-green-md-0", **workers),
    ]
    made = {(obj["kind"], obj["metadata"]["name"]): obj for obj in parts}
    seen = ClusterSeen("green", "o-green", "o-green-kubeconfig", made=made, machines=machines)
    return cluster_state(seen, None, before)


FIRST = machine("cp", "True", controls=True)


def test_machines_that_nobody_has_judged_yet_are_no_rollout() -> None:
    found = state(
        ClusterPhase.SCALING, FIRST, machine("a", "True"), machine("b", None), machine("c", "Unknown"),
        want=3, have=3, ready=1, newest=1,
    )  # fmt: skip
    assert found.phase is ClusterPhase.SCALING


def test_machines_of_the_older_template_are_a_rollout() -> None:
    found = state(ClusterPhase.READY, FIRST, machine("a", "False"), machine("b", "True"), want=1, have=2, newest=1)
    assert (found.phase, found.message) == (ClusterPhase.UPGRADING, "workers: 1 of 2 machines at v1.35.0")


def test_providers_whose_machines_say_nothing_are_counted() -> None:
    found = state(ClusterPhase.READY, machine("a", None), machine("b", None), want=2, have=2, newest=1)
    assert (found.phase, found.message) == (ClusterPhase.UPGRADING, "workers: 1 of 2 machines at v1.35.0")


def test_what_cluster_api_has_not_looked_at_is_no_loss() -> None:
    behind = part("KubeadmControlPlane", "o-green-cp", 1, 1, behind=1)
    found = state(ClusterPhase.READY, FIRST, control_plane=behind, want=1, have=1)
    assert found.phase is ClusterPhase.UPGRADING
    assert "control plane: Cluster API has yet to look" in found.message


def test_the_last_new_machine_of_a_rollout_is_waited_for() -> None:
    machines = (FIRST, machine("a", "True"), machine("b", "True"))
    assert state(ClusterPhase.UPGRADING, *machines, want=2, have=2, ready=1).phase is ClusterPhase.UPGRADING
    assert state(ClusterPhase.READY, *machines, want=2, have=2, ready=1).phase is ClusterPhase.DEGRADED
