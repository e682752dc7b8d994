"""Reading, writing and normalising LowLevelOrchestrations."""

from __future__ import annotations

import copy

import pytest

from continuo.resources.errors import Invalid
from continuo.resources.orchestration import (
    AppPhase,
    AppStatus,
    Bootstrap,
    ClusterSpec,
    ComponentSpec,
    Expose,
    Package,
    Provider,
    Status,
    Summary,
    decode,
    decode_spec,
    encode,
    normalise,
)

from .bad_orchestrations import GOOD


def test_the_good_object_reads_with_its_defaults() -> None:
    read = decode(GOOD)
    green, rose, blue = read.spec.clusters
    assert (read.name, read.namespace, read.generation) == ("kubeadm-based-orchestration", "default", 0)
    assert [cluster.bootstrap for cluster in (green, rose, blue)] == [Bootstrap.KUBEADM, Bootstrap.K3S, None]
    assert (rose.provider, rose.control_plane_count, rose.worker_machine_count) == (Provider.OPENSTACK, 1, 0)
    assert read.spec.links == (("green", "rose"), ("blue", "green"))
    story = read.spec.apps[0].components[0]
    assert [(port.container_port, port.cluster_port, port.is_peered) for port in story.expose] == [
        (443, 443, True), (5353, 53, True), (5353, 53, True),
    ]  # fmt: skip
    assert story.replicas == 1


def test_what_is_read_and_written_reads_the_same() -> None:
    read = decode(GOOD)
    assert decode_spec(encode(read.spec)) == read.spec


def test_writing_keeps_what_was_chosen_and_leaves_out_what_was_not() -> None:
    component = ComponentSpec(name="web", image="nginx", expose=(Expose(container_port=80, cluster_port=8080),))
    assert encode(component) == {
        "name": "web",
        "image": "nginx",
        "replicas": 1,
        "expose": [
            {"is-public": False, "is-peered": True, "containerPort": 80, "clusterPort": 8080, "protocol": "TCP"}
        ],
    }
    assert encode(ClusterSpec(name="bare", packages=()))["packages"] == []


def test_status_is_written_under_its_wire_names() -> None:
    status = Status(
        observed_generation=3,
        summary=Summary(apps="0/1"),
        apps=(AppStatus(name="dotes", phase=AppPhase.PENDING, last_transition_time="2025-01-01T10:00:00Z"),),
    )
    assert encode(status) == {
        "observedGeneration": 3,
        "summary": {"clusters": "0/0", "links": "0/0", "apps": "0/1"},
        "apps": [{"name": "dotes", "phase": "Pending", "lastTransitionTime": "2025-01-01T10:00:00Z"}],
    }


def test_package_names_of_the_thesis_mean_the_same_packages() -> None:
    cluster = decode_spec({"clusters": [{"name": "a", "packages": ["metallb", "loadbalancer", "nginx"]}]}).clusters[0]
    assert cluster.package_set == {Package.LOADBALANCER, Package.INGRESS}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"clusters": [{"name": "a", "control-plane-count": 12}]}, "spec.clusters[0].control-plane-count: Expected"),
        ({"clusters": [{}]}, "spec.clusters[0]: Object missing required field `name`"),
        ({"apps": "none"}, "spec.apps: Expected `array`"),
    ],
)
def test_a_wrong_object_is_refused_with_the_path_of_the_field(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        decode({**GOOD, "spec": change})
    assert str(refused.value).startswith(sentence)


def test_prefixed_cluster_names_lose_the_prefix_everywhere() -> None:
    prefixed = copy.deepcopy(GOOD)
    long = "kubeadm-based-orchestration-"
    prefixed["spec"]["links"] = [[long + "green", "rose"], ["blue", long + "green"]]
    app = prefixed["spec"]["apps"][0]
    app["cluster"] = long + app["cluster"]
    for component in app["components"][:2]:
        component["cluster-selector"] = long + component["cluster-selector"]
    before = copy.deepcopy(prefixed)
    assert normalise(prefixed) == GOOD
    assert prefixed == before


def test_names_that_are_declared_or_unknown_stay() -> None:
    assert normalise(GOOD) is GOOD
    unknown = copy.deepcopy(GOOD)
    unknown["spec"]["links"] = [["kubeadm-based-orchestration-violet", "green"]]
    assert normalise(unknown) is unknown
    declared = copy.deepcopy(GOOD)
    declared["metadata"]["name"] = "x"
    declared["spec"] = {"clusters": [{"name": "a"}, {"name": "x-a"}, {"name": "b"}], "links": [["x-a", "x-b"]]}
    assert normalise(declared)["spec"]["links"] == [["x-a", "b"]]


@pytest.mark.parametrize("spec", [None, [], {"links": None}, {"links": ["a"], "apps": [1], "clusters": [3]}])
def test_nonsense_passes_normalise_untouched(spec: object) -> None:
    assert normalise({"metadata": {"name": "x"}, "spec": spec}) == {"metadata": {"name": "x"}, "spec": spec}
