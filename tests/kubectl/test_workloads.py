"""kubectl and what runs: rollouts, nodes, pods."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .client import Kubectl

WAIT = "--timeout=30s"


@pytest.fixture(scope="module")
def web(kubectl: Kubectl) -> Kubectl:
    kubectl("create", "deployment", "web", "--image=example.org/web:1", "--replicas=3", "--port=80")
    kubectl("rollout", "status", "deployment/web", WAIT)
    return kubectl


def test_a_deployment_becomes_available(web: Kubectl) -> None:
    deployment, pods, described, wide = web.together(
        "get deployment web", "get pods -l app=web", "describe deployment web", "get pods -l app=web -o wide"
    )
    assert deployment.splitlines()[1].split()[:4] == ["web", "3/3", "3", "3"]
    assert [line.split()[1:3] for line in pods.splitlines()[1:]] == [["1/1", "Running"]] * 3
    assert "3 desired | 3 updated | 3 total | 3 available | 0 unavailable" in described
    assert "ScalingReplicaSet" in described
    assert "rose-1" in wide or "rose-2" in wide


def test_a_pod_described_and_its_log(web: Kubectl) -> None:
    name = web("get", "pods", "-l", "app=web", "-o", "name").split()[0]
    described, log, several = web.together(f"describe {name}", f"logs {name}", "logs -l app=web --tail=1 --prefix")
    assert "Status:           Running" in described
    assert "Image:          example.org/web:1" in described
    assert "Scheduled" in described and "Pulled" in described and "Started" in described
    assert "simulated" in log
    assert several.count("[pod/") == 3


def test_scaling(web: Kubectl) -> None:
    assert web("scale", "deployment/web", "--replicas=4") == "deployment.apps/web scaled\n"
    web("rollout", "status", "deployment/web", WAIT)
    assert web("get", "deployment", "web", "-o", "jsonpath={.status.availableReplicas}") == "4"
    assert "Expected replicas to be 9, was 4" in web.fails(
        "scale", "deployment/web", "--current-replicas=9", "--replicas=1"
    )
    web("scale", "deployment/web", "--replicas=2")
    web("wait", "--for=jsonpath={.status.replicas}=2", "deployment/web", WAIT)


def test_rollouts_and_their_history(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "rolled", "--image=example.org/web:1")
    kubectl("set", "image", "deployment/rolled", "web=example.org/web:2")
    kubectl("rollout", "status", "deployment/rolled", WAIT)
    kubectl("set", "env", "deployment/rolled", "A=b")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/rolled", WAIT)
    history = kubectl("rollout", "history", "deployment/rolled")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2", "3"]
    assert "A:\tb" in kubectl("rollout", "history", "deployment/rolled", "--revision=3")
    assert "rolled back" in kubectl("rollout", "undo", "deployment/rolled", "--to-revision=1")
    kubectl("rollout", "status", "deployment/rolled", WAIT)
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl("get", "deployment", "rolled", "-o", image) == "example.org/web:1"
    assert "restarted" in kubectl("rollout", "restart", "deployment/rolled")
    kubectl("rollout", "status", "deployment/rolled", WAIT)
    assert "paused" in kubectl("rollout", "pause", "deployment/rolled")
    assert "resumed" in kubectl("rollout", "resume", "deployment/rolled")


def test_an_image_that_cannot_be_pulled(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "broken", "--image=example.org/does-not-exist:1")
    waiting = "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff"
    kubectl("wait", "--for=jsonpath={.status.replicas}=1", "deployment/broken", WAIT)
    kubectl("wait", waiting, "pod", "-l", "app=broken", WAIT)
    kubectl("wait", "--for=condition=Available=False", "deployment/broken", WAIT)
    listed, events = kubectl.together("get pods -l app=broken", "events --types=Warning")
    assert "ImagePullBackOff" in listed
    assert "Failed" in events and "does-not-exist" in events


def test_expose_and_endpoints(web: Kubectl) -> None:
    assert web("expose", "deployment", "web", "--port=80", "--name=front") == "service/front exposed\n"
    addresses = "--for=jsonpath={.subsets[0].addresses}"
    web("wait", addresses, "endpoints/front", WAIT)
    described = web("describe", "service", "front")
    assert "Endpoints:" in described
    assert ":80" in described.split("Endpoints:")[1].splitlines()[0]


def test_run_and_wait(kubectl: Kubectl) -> None:
    assert kubectl("run", "single", "--image=example.org/a:1", "--restart=Never") == "pod/single created\n"
    assert "condition met" in kubectl("wait", "--for=condition=Ready", "pod/single", WAIT)
    assert 'pod "single" deleted' in kubectl("delete", "pod", "single", "--grace-period=1")


def test_a_job_completes(kubectl: Kubectl) -> None:
    kubectl("create", "job", "once", "--image=example.org/a:1")
    kubectl("wait", "--for=condition=Complete", "job/once", WAIT)
    assert "1/1" in kubectl("get", "job", "once")


def test_nodes_are_emptied_and_taken_back(web: Kubectl) -> None:
    assert "cordoned" in web("cordon", "rose-2")
    assert "SchedulingDisabled" in web("get", "node", "rose-2")
    assert "drained" in web("drain", "rose-2", "--ignore-daemonsets", "--delete-emptydir-data", "--force", WAIT)
    left = json.loads(web("get", "pods", "-A", "--field-selector=spec.nodeName=rose-2", "-o", "json"))
    assert [pod["metadata"]["name"] for pod in left["items"] if not _stays(pod)] == []
    web("rollout", "status", "deployment/web", WAIT)
    assert "uncordoned" in web("uncordon", "rose-2")


def _stays(pod: dict[str, Any]) -> bool:
    return any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences", ()))


def test_taints(web: Kubectl) -> None:
    assert "tainted" in web("taint", "node", "rose-1", "example.org/keep-out=yes:NoSchedule")
    assert "example.org/keep-out=yes:NoSchedule" in web("describe", "node", "rose-1")
    assert "untainted" in web("taint", "node", "rose-1", "example.org/keep-out-")


def test_owners_take_their_pods_along(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "short", "--image=example.org/a:1")
    kubectl("rollout", "status", "deployment/short", WAIT)
    kubectl("delete", "deployment", "short", "--cascade=foreground", WAIT)
    assert "No resources found" in kubectl("get", "rs,pods", "-l", "app=short")
