"""kubectl as the one who looks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from continuo.resources.crd import low_level_orchestration_crd

from .client import Kubectl


@pytest.fixture(scope="module")
def filled(kubectl: Kubectl) -> Kubectl:
    kubectl.together(
        "create configmap one --from-literal=k=1", "create configmap two --from-literal=k=2",
        "create service clusterip web --tcp=80:8080", "create secret generic s --from-literal=a=b",
    )  # fmt: skip
    return kubectl


@pytest.fixture(scope="module")
def orchestrations(kubectl: Kubectl) -> Kubectl:
    kubectl("apply", "--server-side", "-f", "-", obj=low_level_orchestration_crd())
    kubectl("wait", "--for=condition=Established", "crd/lowlevelorchestrations.charity-project.eu", "--timeout=10s")
    obj: dict[str, Any] = {
        "apiVersion": "charity-project.eu/v1", "kind": "LowLevelOrchestration", "metadata": {"name": "example"},
        "spec": {"clusters": [{"name": "green", "provider": "existing", "kubeconfig": "green-kubeconfig"}]},
    }  # fmt: skip
    kubectl("apply", "-f", "-", obj=obj)
    return kubectl


def test_each_form_of_get(filled: Kubectl) -> None:
    wide, names, yaml, columns, path, template = filled.together(
        "get cm one two -o wide", "get cm one two -o name", "get cm one -o yaml",
        "get cm one two -o custom-columns=N:.metadata.name,K:.data.k", "get cm one -o jsonpath={.data.k}",
        "get cm one -o go-template={{.data.k}}",
    )  # fmt: skip
    assert wide.splitlines()[0].split() == ["NAME", "DATA", "AGE"]
    assert [line.split()[:2] for line in wide.splitlines()[1:]] == [["one", "1"], ["two", "1"]]
    assert names == "configmap/one\nconfigmap/two\n"
    assert "kind: ConfigMap" in yaml and "managedFields" not in yaml
    assert [line.split() for line in columns.splitlines()] == [["N", "K"], ["one", "1"], ["two", "2"]]
    assert (path, template) == ("1", "1")
    assert json.loads(filled("get", "cm", "two", "-o", "json"))["data"] == {"k": "2"}


def test_sorting_selecting_and_all_namespaces(filled: Kubectl) -> None:
    sorted_, selected, everywhere, all_ = filled.together(
        "get cm --sort-by=.metadata.name -o name", "get cm --field-selector=metadata.name=two -o name",
        "get cm -A -o name", "get all",
    )  # fmt: skip
    assert sorted_.splitlines() == sorted(sorted_.splitlines())
    assert selected == "configmap/two\n"
    assert everywhere.count("configmap/") > 3
    assert "service/web" in all_
    assert 'error: the server doesn\'t have a resource type "nonsense"' in filled.fails("get", "nonsense")


def test_watching(kubectl: Kubectl) -> None:
    with kubectl.open("get", "secret", "-w", "--output-watch-events", "-o", "name") as watching:
        assert watching.stdout is not None
        kubectl("create", "secret", "generic", "seen")
        line = watching.stdout.readline()
        while "seen" not in line:
            assert line
            line = watching.stdout.readline()
    assert "secret/seen" in line


@pytest.mark.parametrize("page", ["1", "2"])
def test_pages(filled: Kubectl, page: str) -> None:
    assert "configmap/two" in filled("get", "cm", f"--chunk-size={page}", "-o", "name")


def test_describe(filled: Kubectl, orchestrations: Kubectl) -> None:
    service, config, orchestration, node, namespace = filled.together(
        "describe service web",
        "describe cm one",
        "describe llorch example",
        "describe node rose-1",
        "describe ns default",
    )
    assert "80-8080  80/TCP" in service and "Type:" in service
    assert "k:\n----\n1" in config
    assert "Provider:" in orchestration and "Kubeconfig:" in orchestration
    assert "Allocatable:" in node and "Non-terminated Pods:" in node
    assert "Status:       Active" in namespace


def test_explain(kubectl: Kubectl, orchestrations: Kubectl) -> None:
    container, orchestration, recursive = kubectl.together(
        "explain deployment.spec.template.spec.containers", "explain llorch.spec.clusters", "explain llorch --recursive"
    )
    assert "KIND:       Deployment" in container and "image\t<string>" in container
    assert "KIND:       LowLevelOrchestration" in orchestration and "provider\t<string>" in orchestration
    assert "kubernetes-version\t<string>" in recursive


def test_our_columns(orchestrations: Kubectl) -> None:
    head = orchestrations("get", "llorch").splitlines()[0].split()
    assert head == ["NAME", "PHASE", "CLUSTERS", "LINKS", "APPS", "READY", "REASON", "AGE"]


def test_what_is_served(kubectl: Kubectl, orchestrations: Kubectl) -> None:
    resources, versions, raw, version, info = kubectl.together(
        "api-resources -o wide", "api-versions", "get --raw /readyz", "version -o json", "cluster-info"
    )
    lines = [line.split() for line in resources.splitlines()]
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in [line[:5] for line in lines]
    assert "charity-project.eu/v1" in resources
    assert {"v1", "apps/v1", "charity-project.eu/v1"} <= set(versions.split())
    assert raw == "ok"
    assert json.loads(version.partition("\nWARNING")[0])["serverVersion"]["major"] == "1"
    assert "is running at" in info


def test_who_may_what(kubectl: Kubectl) -> None:
    kubectl.together("create role reader --verb=get,list --resource=pods", "create serviceaccount limited")
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={kubectl.namespace}:limited")
    limited = f"--as=system:serviceaccount:{kubectl.namespace}:limited"
    mine, theirs, rules = kubectl.together(
        "auth can-i delete pods", f"auth can-i list pods {limited}", f"auth can-i --list {limited}"
    )
    assert (mine, theirs) == ("yes\n", "yes\n")
    assert "pods" in rules and "[get list]" in rules
    assert kubectl.fails("auth", "can-i", "delete", "pods", limited) == "no\n"
    assert "Forbidden" in kubectl.fails("get", "secrets", limited)
    token = kubectl("create", "token", "limited", "--duration=10m").strip()
    assert "system:serviceaccount" in kubectl("auth", "whoami", f"--token={token}")
    assert "ATTRIBUTE" in kubectl("auth", "whoami")


def test_two_contexts(kubectl: Kubectl) -> None:
    contexts, here, there = kubectl.together(
        "config get-contexts -o name", "get nodes -o name", "--context=management get nodes -o name"
    )
    assert contexts.split() == ["management", "rose"]
    assert here.split() == ["node/rose-1", "node/rose-2"]
    assert there.split() == ["node/management-0"]
    assert "cluster.x-k8s.io" in kubectl("--context=management", "api-resources", "--api-group=cluster.x-k8s.io")
