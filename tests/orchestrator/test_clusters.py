"""Decisions about clusters: no server, no clock."""

from __future__ import annotations

import pytest

from continuo.orchestrator import states
from continuo.orchestrator.caches import management_watches
from continuo.orchestrator.plan import Action
from continuo.orchestrator.settings import Settings
from continuo.resources import kinds

from .worlds import NOW, Bench, app, cluster, component


def test_a_new_cluster_is_created_whole_and_ordered_by_need() -> None:
    bench = Bench({"clusters": [cluster("green", packages=["loadbalancer", "liqo"])]})
    steps = bench.steps()
    create = steps["cluster/green"]
    assert create.action is Action.CREATE
    made = [write.kind.kind for write in create.writes]
    assert made == [
        "OpenStackCluster", "OpenStackMachineTemplate", "OpenStackMachineTemplate", "KubeadmConfigTemplate",
        "KubeadmControlPlane", "MachineDeployment", "Cluster",
    ]  # fmt: skip
    assert steps["package/green/liqo"].needs == ("cluster/green",)
    assert steps["package/green/cni"].needs == ()


def test_a_settled_cluster_needs_nothing() -> None:
    bench = Bench({"clusters": [cluster("green", packages=["loadbalancer"])]})
    bench.settle()
    assert not bench.plan.steps
    assert bench.object["status"]["phase"] == "Ready"


@pytest.mark.parametrize(
    ("before", "after", "detail"),
    [
        pytest.param({}, {"control_plane_count": 3}, "control plane 1 -> 3", id="control-plane"),
        pytest.param({"worker_machine_count": 2}, {"worker_machine_count": 5}, "workers 2 -> 5", id="workers"),
        pytest.param({"worker_machine_count": 2}, {}, "workers 2 -> 0", id="to-zero"),
    ],
)
def test_scaling_touches_only_what_is_scaled(before: dict, after: dict, detail: str) -> None:
    bench = Bench({"clusters": [cluster("green", **before)]})
    bench.settle()
    bench.declare({"clusters": [cluster("green", **after)]})
    step = bench.steps()["cluster/green/change"]
    assert step.action is Action.SCALE
    assert step.detail == detail
    scaled = {write.kind.kind for write in step.writes}
    assert scaled == ({"KubeadmControlPlane"} if "control" in detail else {"MachineDeployment"})


def test_an_upgrade_does_the_control_plane_first_and_workers_after_it() -> None:
    bench = Bench({"clusters": [cluster("green", worker_machine_count=2)]})
    bench.settle()
    bench.declare({"clusters": [{**cluster("green", worker_machine_count=2), "kubernetes-version": "v1.35.0"}]})
    steps = bench.steps()
    first, workers = steps["cluster/green/change"], steps["cluster/green/workers"]
    assert first.action is Action.UPGRADE
    assert "KubeadmControlPlane" in {write.kind.kind for write in first.writes}
    assert "MachineDeployment" not in {write.kind.kind for write in first.writes}
    assert workers.writes == ()
    bench.run()
    assert bench.steps()["cluster/green/workers"].writes == ()
    bench.bring_up()
    assert [write.kind.kind for write in bench.steps()["cluster/green/workers"].writes] == ["MachineDeployment"]
    bench.settle()
    names = {obj["metadata"]["name"] for obj in bench.management.all(kinds.OPENSTACK_MACHINE_TEMPLATE)}
    assert len(names) == 2, "replaced templates are removed"


@pytest.mark.parametrize(
    ("version", "says"),
    [("v1.36.0", "skips a minor version, go to v1.35 first"), ("v1.33.9", "cannot go back")],
)
def test_version_skew_is_refused_with_the_way_out(version: str, says: str) -> None:
    bench = Bench({"clusters": [cluster("green")]})
    bench.settle()
    bench.declare({"clusters": [{**cluster("green"), "kubernetes-version": version}]})
    (refusal,) = bench.plan.refusals
    assert says in refusal.message
    assert not [step for step in bench.plan.steps if step.writes]
    stalled = next(c for c in bench.object["status"]["conditions"] if c["type"] == "Stalled")
    assert stalled["status"] == "True"


@pytest.mark.parametrize("kind", [kinds.KUBEADM_CONTROL_PLANE, kinds.MACHINE_DEPLOYMENT, kinds.OPENSTACK_CLUSTER])
def test_a_deleted_object_comes_back(kind) -> None:
    bench = Bench({"clusters": [cluster("green")]})
    bench.settle()
    (obj,) = bench.management.all(kind)
    bench.management.drop(kind, obj["metadata"]["name"], "default")
    step = bench.steps()["cluster/green/change"]
    assert step.action is Action.REPAIR
    assert [write.kind for write in step.writes] == [kind]


def test_a_foreign_edit_of_our_field_is_undone_and_a_foreign_field_left_alone() -> None:
    bench = Bench({"clusters": [cluster("green", worker_machine_count=2)]})
    bench.settle()
    bench.management.edit(kinds.MACHINE_DEPLOYMENT, "o-green-md-0", "default", lambda o: o["spec"].update(paused=True))
    assert not bench.plan.steps
    bench.management.edit(kinds.MACHINE_DEPLOYMENT, "o-green-md-0", "default", lambda o: o["spec"].update(replicas=7))
    (step,) = [step for step in bench.plan.steps if step.writes]
    assert [write.kind for write in step.writes] == [kinds.MACHINE_DEPLOYMENT]


def test_only_so_many_clusters_are_provisioned_at_once() -> None:
    bench = Bench({"clusters": [cluster(f"c{i}") for i in range(5)]}, settings=Settings(provisioning_limit=2))
    created = [s for s in bench.plan.steps if s.action is Action.CREATE]
    assert [bool(step.writes) for step in created] == [True, True, False, False, False]
    assert "a free place" in created[2].waits_for
    bench.settle()
    assert len(bench.management.all(kinds.CLUSTER)) == 5


def test_a_removed_cluster_goes_with_all_that_was_made_for_it() -> None:
    bench = Bench({"clusters": [cluster("green", packages=["loadbalancer"]), cluster("blue")]})
    bench.settle()
    bench.declare({"clusters": [cluster("blue")]})
    step = bench.steps()["cluster/green"]
    assert step.action is Action.DELETE
    assert [write.kind for write in step.writes] == [kinds.CLUSTER]
    bench.settle()
    for kind in (kinds.CLUSTER, kinds.HELM_CHART_PROXY, kinds.OPENSTACK_MACHINE_TEMPLATE, kinds.MACHINE_DEPLOYMENT):
        assert all("green" not in obj["metadata"]["name"] for obj in bench.management.all(kind))
    assert [entry["name"] for entry in bench.object["status"]["clusters"]] == ["blue"]


def test_deleting_the_orchestration_removes_every_cluster() -> None:
    bench = Bench({"clusters": [cluster("green"), cluster("blue")]})
    bench.settle()
    bench.delete()
    bench.settle()
    assert not bench.management.all(kinds.CLUSTER)
    assert not bench.management.all(kinds.OPENSTACK_CLUSTER)


@pytest.mark.parametrize(
    ("fields", "kind", "version"),
    [
        ({"provider": "k3s"}, kinds.KTHREES_CONTROL_PLANE, "v1.34.2+k3s1"),
        ({"kubernetes_type": "k3s"}, kinds.KTHREES_CONTROL_PLANE, "v1.34.2+k3s1"),
        ({"provider": "microk8s"}, kinds.MICROK8S_CONTROL_PLANE, "v1.34.2"),
        ({"provider": "kubeadm"}, kinds.KUBEADM_CONTROL_PLANE, "v1.34.2"),
    ],
)
def test_every_bootstrap_provider_gets_its_own_objects(fields: dict, kind, version: str) -> None:
    bench = Bench({"clusters": [cluster("edge", **fields)]})
    (control,) = [w for w in bench.steps()["cluster/edge"].writes if w.kind is kind]
    assert control.object["spec"]["version"] == version
    assert ("package/edge/cni" in bench.steps()) is (kind is kinds.KUBEADM_CONTROL_PLANE)


def test_a_provider_that_is_not_installed_is_named_with_those_that_are() -> None:
    bench = Bench({"clusters": [cluster("edge", provider="k3s"), cluster("green")]})
    bench.missing = frozenset({"KThreesControlPlane", "KThreesConfigTemplate"})
    plan = bench.plan
    (refusal,) = plan.refusals
    assert refusal.reason == "ProviderMissing"
    assert "control-plane provider k3s" in refusal.message
    assert "(kubeadm, microk8s)" in refusal.message
    assert {step.target.name for step in plan.steps if step.action is Action.CREATE} == {"green"}


def test_a_cluster_of_the_same_name_that_is_not_ours_is_left_alone() -> None:
    bench = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", component("web"))]})
    bench.management.put(kinds.CLUSTER, kinds.CLUSTER.new("o-green", "default", spec={"paused": True}))
    assert bench.run() == []
    (refusal,) = bench.plan.refusals
    assert refusal.message == "Cluster o-green exists and is not ours; rename cluster green"
    bench.delete()
    assert bench.plan.steps == ()
    assert bench.management.get(kinds.CLUSTER, "o-green", "default")["spec"] == {"paused": True}


def test_two_orchestrations_whose_names_join_to_one_cluster_do_not_fight() -> None:
    first = Bench({"clusters": [cluster("b-c")]}, name="a")
    second = Bench({"clusters": [cluster("c")]}, name="a-b")
    second.management = first.management
    first.settle()
    assert second.run() == []
    (refusal,) = second.plan.refusals
    assert "Cluster a-b-c exists and is cluster b-c of orchestration default/a" in refusal.message
    assert first.plan.steps == ()


def test_a_cluster_that_lost_its_labels_is_mended() -> None:
    bench = Bench({"clusters": [cluster("green")]})
    bench.settle()
    bench.management.edit(kinds.CLUSTER, "o-green", "default", lambda obj: obj["metadata"].pop("labels"))
    assert bench.plan.refusals == ()
    bench.settle()
    assert bench.management.get(kinds.CLUSTER, "o-green", "default")["metadata"]["labels"]["continuo.dev/cluster"]


def test_other_peoples_clusters_are_followed_but_take_no_place() -> None:
    (watch,) = (watch for watch in management_watches() if watch.kind is kinds.CLUSTER)
    assert watch.labels is None
    assert list(watch.indexers["provisioning"](kinds.CLUSTER.new("x", "default"))) == []


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ({"public_ip": "203.0.113.7"}, {"public_ip": "203.0.113.8"}, "public-ip 203.0.113.8 (it has 203.0.113.7)"),
        ({}, {"public_ip": "203.0.113.8"}, "public-ip 203.0.113.8 (it has none)"),
        ({"external_network": "n1"}, {}, "external-network none (it has n1)"),
    ],
)
def test_what_the_provider_fixed_is_refused_and_stops_no_other_change(before: dict, after: dict, says: str) -> None:
    bench = Bench({"clusters": [cluster("green", **before)]})
    bench.settle()
    made = bench.management.get(kinds.OPENSTACK_CLUSTER, "o-green", "default")["spec"]
    bench.declare({"clusters": [cluster("green", worker_machine_count=2, **after)]})
    _, _, plan = bench.look()
    assert [(refusal.reason, says in refusal.message) for refusal in plan.refusals] == [("Immutable", True)]
    bench.settle()
    assert bench.management.get(kinds.MACHINE_DEPLOYMENT, "o-green-md-0", "default")["spec"]["replicas"] == 2
    assert bench.management.get(kinds.OPENSTACK_CLUSTER, "o-green", "default")["spec"] == made


def test_defaults_that_the_provider_adds_are_not_taken_over() -> None:
    bench = Bench({"clusters": [cluster("green")]})
    bench.settle()
    bench.management.edit(
        kinds.OPENSTACK_CLUSTER, "o-green", "default",
        lambda obj: obj["spec"]["apiServerLoadBalancer"].update(network={"id": "x"}),
    )  # fmt: skip
    assert bench.plan.steps == ()


def test_a_namespace_that_cannot_go_holds_up_only_its_own_cluster_and_says_why() -> None:
    bench = Bench({"clusters": [cluster("green"), cluster("rose")], "apps": [app("shop", "green", component("web"))]})
    bench.settle()
    remaining = {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "finalizer x in 1 resource"}

    def stuck(obj: dict) -> None:
        obj["metadata"]["deletionTimestamp"] = NOW
        obj["status"] = {"conditions": [remaining]}

    bench.workloads["o-green"].edit(kinds.NAMESPACE, "shop", "", stuck)
    bench.delete()
    assert bench.run() == ["cluster/rose"]
    steps = bench.steps()
    assert steps["cluster/green"].needs == ("application/shop",)
    assert steps["application/shop"].waits_for == "namespace shop to be deleted (finalizer x in 1 resource)"


def test_a_rollout_that_was_only_just_asked_for_is_not_taken_for_done() -> None:
    """Real Cluster API says that it observed the new template before it counts a single machine as outdated."""
    bench = Bench({"clusters": [cluster("green", worker_machine_count=1)]})
    bench.settle()
    bench.look()
    deployment = bench.management.get(kinds.MACHINE_DEPLOYMENT, "o-green-md-0", "default")
    template = deployment["spec"]["template"]
    older = {**template, "spec": {**template["spec"], "version": "v1.33.0"}}
    labels = {"cluster.x-k8s.io/cluster-name": "o-green", "cluster.x-k8s.io/deployment-name": "o-green-md-0"}
    for name, found, replicas in (("old", older, 1), ("new", template, 0)):
        spec = {"clusterName": "o-green", "replicas": replicas, "template": found}
        bench.management.put(
            kinds.MACHINE_SET,
            kinds.MACHINE_SET.new(f"o-green-{name}", "default", metadata={"labels": labels}, spec=spec),
        )
    bench.look()
    entry = bench.object["status"]["clusters"][0]
    assert (entry["phase"], entry["message"]) == ("Upgrading", "workers: machines of the older template are left")
    bench.management.edit(kinds.MACHINE_SET, "o-green-old", "default", lambda obj: obj["spec"].update(replicas=0))
    bench.look()
    assert bench.object["status"]["clusters"][0]["phase"] == "Ready"


def test_simulated_clusters_need_their_own_provider_and_no_packages() -> None:
    spec = {"name": "green", "provider": "dev", "kubernetes-version": "v1.34.2", "machine-startup": 90}
    bench = Bench({"clusters": [spec]})
    (step,) = bench.plan.steps
    assert {write.kind.kind for write in step.writes} >= {"DevCluster", "DevMachineTemplate", "KubeadmControlPlane"}
    infrastructure = next(write.object for write in step.writes if write.kind is kinds.DEV_CLUSTER)
    assert infrastructure["metadata"]["annotations"], "without one the provider dies"
    machine = next(write.object for write in step.writes if write.kind is kinds.DEV_MACHINE_TEMPLATE)
    assert "'startupDuration': '1m30s'" in str(machine), "as the API server keeps it, or it would look like drift"
    bench.missing = frozenset({"DevCluster", "DevMachineTemplate"})
    (refusal,) = bench.plan.refusals
    assert "the infrastructure provider dev" in refusal.message


def test_the_reasons_of_cluster_api_are_told_in_one_line() -> None:
    said = "* VMProvisioned: WaitingForBootstrapData\n* WorkersAvailable:\n  * MachineDeployment a: 0 available"
    assert states._one_line(said) == (
        "VMProvisioned: WaitingForBootstrapData; WorkersAvailable: MachineDeployment a: 0 available"
    )
