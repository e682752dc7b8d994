"""The Helm add-on provider and ClusterResourceSets."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from manifests import cluster_objects

from continuo.embedded.standins import all_standins, prepare_management
from continuo.embedded.standins.helm.templating import TemplateError, render, values_of
from continuo.embedded.standins.kinds import CLUSTER_RESOURCE_SET_BINDING, IP_ADDRESS_POOL
from continuo.resources.kinds import (
    CLUSTER,
    CLUSTER_RESOURCE_SET,
    CONFIG_MAP,
    DEPLOYMENT,
    GATEWAY,
    GATEWAY_CLASS,
    HELM_CHART_PROXY,
    HELM_RELEASE_PROXY,
    HTTP_ROUTE,
    INGRESS,
    INGRESS_CLASS,
    NODE,
    SECRET,
    SERVICE,
)
from continuo.resources.meta import Object, condition, is_true

DATA = {
    "Cluster": {"metadata": {"name": "green"}, "spec": {"clusterNetwork": {"pods": {"cidrBlocks": ["10.244.0.0/16"]}}}}
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("name: {{ .Cluster.metadata.name }}", "name: green"),
        ("{{- .Cluster.metadata.name | upper | quote -}}", '"GREEN"'),
        ("{{ index .Cluster.spec.clusterNetwork.pods.cidrBlocks 0 }}", "10.244.0.0/16"),
        ("{{ .Cluster.spec.clusterNetwork.pods.cidrBlocks | first }}", "10.244.0.0/16"),
        ("no templates", "no templates"),
    ],
)
def test_templates(template: str, text: str) -> None:
    assert render(template, DATA) == text


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ .Cluster.metadata.nme }}", "no nme"),
        ("{{ if .Cluster }}x{{ end }}", "not supported here"),
        ("{{ .Cluster.metadata.name | sha256sum }}", "sha256sum is not supported"),
        ("{{ index .Cluster.spec.clusterNetwork.pods.cidrBlocks 4 }}", "is not there"),
        ("- a", "must be a mapping"),
        ("a: [", "does not render to YAML"),
    ],
)
def test_templates_that_are_refused(template: str, words: str) -> None:
    with pytest.raises(TemplateError, match=words):
        values_of(template, DATA)


@pytest.fixture
def addons(world: Any) -> Any:
    world.engine.start()
    prepare_management(world.engine.management)
    world.start(*all_standins(world.engine, rng=world.rng, settings=world.settings))
    for obj in cluster_objects("edge", provider="k3s", labels={"addons": "yes"}):
        world.engine.management.create(obj)
    world.run(6)
    return world


REPOS = {
    "metallb": ("https://metallb.github.io/metallb", "metallb-system"),
    "traefik": ("https://traefik.github.io/charts", "traefik"),
    "strimzi-kafka-operator": ("oci://quay.io/strimzi-helm/", "kafka"),
    "liqo": ("https://helm.liqo.io/", "liqo"),
}


def proxy(chart: str, *, values: str = "", **more: Any) -> Object:
    repo, namespace = REPOS.get(chart, ("https://charts.example.org", "x"))
    spec = {
        "clusterSelector": {"matchLabels": {"addons": "yes"}}, "chartName": chart, "repoURL": repo,
        "releaseName": chart, "namespace": namespace, **more,
    }  # fmt: skip
    return HELM_CHART_PROXY.new(chart, "default", spec={**spec, **({"valuesTemplate": values} if values else {})})


def release(world: Any, chart: str) -> Object:
    return world.engine.management.get(HELM_RELEASE_PROXY, f"{chart}-edge", "default")


def test_a_release_is_ready_when_what_it_runs_is(addons: Any) -> None:
    addons.engine.management.create(proxy("strimzi-kafka-operator"))
    addons.run(0.4)
    assert release(addons, "strimzi-kafka-operator")["status"]["status"] == "pending-install"
    assert not is_true(release(addons, "strimzi-kafka-operator"), "HelmReleaseReady")
    addons.run(3)
    found = release(addons, "strimzi-kafka-operator")
    assert is_true(found, "HelmReleaseReady")
    assert (found["status"]["status"], found["status"]["revision"]) == ("deployed", 1)
    assert is_true(addons.engine.management.get(HELM_CHART_PROXY, "strimzi-kafka-operator", "default"), "Ready")
    remote = addons.engine.cluster("edge")
    assert is_true(remote.get(DEPLOYMENT, "strimzi-cluster-operator", "kafka"), "Available")
    remote.delete(DEPLOYMENT, "strimzi-cluster-operator", "kafka")
    addons.run(1)
    assert "is missing" in condition(release(addons, "strimzi-kafka-operator"), "HelmReleaseReady")["message"]


def test_changed_values_are_a_new_revision(addons: Any) -> None:
    management = addons.engine.management
    management.create(proxy("traefik", values="ports: {web: {exposedPort: 80}}"))
    addons.run(3)
    body = {"spec": {"valuesTemplate": "ports: {web: {exposedPort: 8080}}"}}
    management.patch(HELM_CHART_PROXY, "traefik", "default", "merge", body)
    addons.run(3)
    assert release(addons, "traefik")["status"]["revision"] == 2
    ports = addons.engine.cluster("edge").get(SERVICE, "traefik", "traefik")["spec"]["ports"]
    assert [port["port"] for port in ports] == [8080, 443]


def test_the_label_switches_it_off_and_on(addons: Any) -> None:
    management, remote = addons.engine.management, addons.engine.cluster("edge")
    management.create(proxy("metallb"))
    addons.run(3)
    assert remote.find(DEPLOYMENT, "metallb-controller", "metallb-system") is not None
    management.patch(CLUSTER, "edge", "default", "merge", {"metadata": {"labels": {"addons": None}}})
    addons.run(3)
    assert management.list(HELM_RELEASE_PROXY, "default") == []
    assert remote.find(DEPLOYMENT, "metallb-controller", "metallb-system") is None
    assert remote.list(SECRET, "metallb-system", {"owner": "helm"}) == []
    management.patch(CLUSTER, "edge", "default", "merge", {"metadata": {"labels": {"addons": "yes"}}})
    addons.run(3)
    assert is_true(release(addons, "metallb"), "Ready")
    management.delete(HELM_CHART_PROXY, "metallb", "default")
    addons.run(3)
    assert management.list(HELM_CHART_PROXY, "default") == []
    assert remote.find(DEPLOYMENT, "metallb-controller", "metallb-system") is None


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (proxy("nonsense"), 'chart "nonsense" not found'),
        (proxy("liqo", values="a: 1"), "clusterID is required"),
        (
            {**proxy("metallb"), "spec": {**proxy("metallb")["spec"], "repoURL": "http://plain"}},
            "must start with https",
        ),
    ],
)
def test_what_cannot_be_installed_says_why(addons: Any, made: Object, words: str) -> None:
    addons.engine.management.create(made)
    addons.run(3)
    found = release(addons, made["metadata"]["name"])
    assert found["status"]["status"] == "failed"
    assert words in condition(found, "HelmReleaseReady")["message"]


def test_a_template_that_cannot_be_rendered_shows_on_the_proxy(addons: Any) -> None:
    addons.engine.management.create(proxy("metallb", values="a: {{ .Nothing }}"))
    addons.run(2)
    found = addons.engine.management.get(HELM_CHART_PROXY, "metallb", "default")
    assert condition(found, "HelmReleaseProxySpecsUpToDate")["reason"] == "ValueParsingFailed"


def test_traefik_gives_addresses_to_ingresses_and_gateways(addons: Any) -> None:
    management, remote = addons.engine.management, addons.engine.cluster("edge")
    management.create(proxy("metallb"))
    management.create(proxy("traefik", values="providers: {kubernetesGateway: {enabled: true}}"))
    addons.run(4)
    remote.create(IP_ADDRESS_POOL.new("public", "metallb-system", spec={"addresses": ["203.0.113.7/32"]}))
    remote.create(SERVICE.new("web", "default", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]}))
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"host": "web.example.org", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    remote.create(INGRESS.new("web", "default", spec={"rules": [rule]}))
    listener = {"name": "web", "port": 8000, "protocol": "HTTP"}
    remote.create(GATEWAY.new("public", "default", spec={"gatewayClassName": "traefik", "listeners": [listener]}))
    for name, service in (("good", "web"), ("bad", "nobody")):
        rules = [{"backendRefs": [{"name": service, "port": 80}]}]
        remote.create(HTTP_ROUTE.new(name, "default", spec={"parentRefs": [{"name": "public"}], "rules": rules}))
    addons.run(3)
    assert remote.get(INGRESS, "web", "default")["status"] == {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    gateway = remote.get(GATEWAY, "public", "default")
    assert is_true(gateway, "Programmed")
    assert gateway["status"]["addresses"] == [{"type": "IPAddress", "value": "203.0.113.7"}]
    assert gateway["status"]["listeners"][0]["attachedRoutes"] == 2
    assert is_true(remote.get(GATEWAY_CLASS, "traefik"), "Accepted")
    assert remote.get(INGRESS_CLASS, "traefik")["spec"]["controller"] == "traefik.io/ingress-controller"
    resolved = {
        name: is_true({"status": remote.get(HTTP_ROUTE, name, "default")["status"]["parents"][0]}, "ResolvedRefs")
        for name in ("good", "bad")
    }
    assert resolved == {"good": True, "bad": False}


def test_a_resource_set_brings_the_network_plugin(addons: Any) -> None:
    management = addons.engine.management
    pod = {
        "hostNetwork": True,
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "f", "image": "flannel"}],
    }
    labels = {"app": "flannel"}
    daemon = {
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "kube-flannel-ds", "namespace": "kube-system"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }  # fmt: skip
    management.create(CONFIG_MAP.new("flannel", "default", data={"flannel.yaml": yaml.safe_dump(daemon)}))
    spec = {
        "clusterSelector": {"matchLabels": {"cni": "flannel"}},
        "resources": [{"kind": "ConfigMap", "name": "flannel"}],
    }
    management.create(CLUSTER_RESOURCE_SET.new("cni", "default", spec=spec))
    for obj in cluster_objects("green", labels={"cni": "flannel"}):
        management.create(obj)
    addons.run(8)
    assert all(is_true(node, "Ready") for node in addons.engine.cluster("green").list(NODE))
    binding = management.get(CLUSTER_RESOURCE_SET_BINDING, "green", "default")
    (bound,) = binding["spec"]["bindings"]
    assert (bound["clusterResourceSetName"], bound["resources"][0]["applied"]) == ("cni", True)
