"""`kubectl top`: what simulated pods and nodes use."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .client import Kubectl

ASKED: dict[str, Any] = {"requests": {"cpu": "500m", "memory": "128Mi"}}


@pytest.fixture(scope="module")
def web(kubectl: Kubectl) -> Kubectl:
    container = {"name": "web", "image": "registry.example.org/web:1", "resources": ASKED}
    kubectl("apply", "-f", "-", obj={
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
                 "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}},
    })  # fmt: skip
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    return kubectl


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()[1:] if line]


def test_load_is_shared_by_the_pods_that_are_ready(web: Kubectl) -> None:
    assert all(20 <= int(row[1].rstrip("m")) <= 60 for row in rows(web("top", "pod")))
    web("annotate", "deployment/web", "continuo.dev/simulated-load=cpu=1400m,memory=300Mi")
    assert [row[1:] for row in rows(web("top", "pod"))] == [["700m", "150Mi"]] * 2
    web("scale", "deployment/web", "--replicas=4")
    web("rollout", "status", "deployment/web", "--timeout=20s")
    assert [row[1:] for row in rows(web("top", "pod", "-l", "app=web"))] == [["350m", "75Mi"]] * 4
    assert rows(web("top", "pod", "-l", "app=other")) == []
    pod = web("get", "pod", "-o", "name").splitlines()[0]
    web("annotate", pod, "continuo.dev/simulated-usage=cpu=42m")
    assert [row[1] for row in rows(web("top", pod.replace("/", " ").split()[0], pod.split("/")[1]))] == ["42m"]
    told = web("top", "pod", "--containers").splitlines()
    assert told[0].split() == ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]


def test_nodes_use_what_their_pods_use(web: Kubectl) -> None:
    found = rows(web("top", "node"))
    assert [row[0] for row in found] == ["rose-1", "rose-2"]
    used = sum(int(row[1].rstrip("m")) for row in found)
    assert used >= 80
    assert all(row[2].endswith("%") for row in found)


def test_it_is_an_api_like_any_other(web: Kubectl) -> None:
    assert "nodes" in web("api-resources", "--api-group=metrics.k8s.io")
    told = json.loads(web("get", "nodes.metrics.k8s.io", "rose-1", "-o", "json"))
    assert (told["kind"], told["window"], sorted(told["usage"])) == ("NodeMetrics", "15s", ["cpu", "memory"])
    assert web("get", "pods.metrics.k8s.io").splitlines()[0].split() == ["NAME", "CPU", "MEMORY", "WINDOW"]
    assert "not found" in web.fails("get", "pods.metrics.k8s.io", "ghost")
    assert "does not allow this method" in web.fails("delete", "nodes.metrics.k8s.io", "rose-1")
    assert "PodMetrics" in web("explain", "pods", "--api-version=metrics.k8s.io/v1beta1")


def test_what_cannot_be_read_is_named(web: Kubectl) -> None:
    web("create", "namespace", "odd")
    odd = web.within("odd")
    odd("run", "one", "--image=registry.example.org/web:1", "--annotations=continuo.dev/simulated-usage=lots")
    odd("wait", "--for=condition=Ready", "pod/one", "--timeout=20s")
    assert "should look like cpu=350m,memory=64Mi" in odd.fails("top", "pod")
