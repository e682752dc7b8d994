"""Pods are bound to nodes once, by whoever comes first; what the binding carries is on the pod afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .conftest import unique
from .rest import STRATEGIC, Api, Object


@pytest.fixture
def node(api: Api) -> Iterator[str]:
    """A node that takes nothing by itself, so that only the test binds."""
    name = unique("node")
    taint = {"key": "contract", "value": "true", "effect": "NoSchedule"}
    api.post("/api/v1/nodes", {"metadata": {"name": name}, "spec": {"taints": [taint]}}).ok()
    yield name
    api.delete(f"/api/v1/nodes/{name}")


@pytest.fixture
def new_pod(api: Api, ns: str) -> Callable[..., str]:
    """Makes pods that no scheduler knows; returns the path of one."""

    def make(name: str, **spec: object) -> str:
        path = f"/api/v1/namespaces/{ns}/pods"
        body: Object = {
            "metadata": {"name": name, "annotations": {"a": "1", "b": "1"}},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "m", "image": "i"}],
                     "automountServiceAccountToken": False, **spec},
        }  # fmt: skip
        api.post(path, body).ok()
        return f"{path}/{name}"

    return make


def binding(name: str, node: str, **metadata: object) -> Object:
    return {
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, **metadata},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }  # fmt: skip


def test_a_binding_places_the_pod_and_leaves_its_annotations(api: Api, node: str, new_pod: Callable[..., str]) -> None:
    path = new_pod("p")
    answer = api.post(f"{path}/binding", binding("p", node, annotations={"b": "2", "c": "3"}))
    assert answer.status == 201 and answer.json["kind"] == "Status" and answer.json["status"] == "Success"
    pod = api.get(path).ok()
    assert pod["spec"]["nodeName"] == node
    assert pod["metadata"]["annotations"] == {"a": "1", "b": "2", "c": "3"}
    (scheduled,) = [entry for entry in pod["status"]["conditions"] if entry["type"] == "PodScheduled"]
    assert scheduled["status"] == "True"


def test_a_pod_is_bound_once(api: Api, node: str, new_pod: Callable[..., str]) -> None:
    path = new_pod("p")
    assert api.post(f"{path}/binding", binding("p", node)).status == 201
    for again in (node, f"{node}-other"):
        message = api.post(f"{path}/binding", binding("p", again)).fails(409, "Conflict")
        assert f'pod p is already assigned to node "{node}"' in message
    assert api.get(path).ok()["spec"]["nodeName"] == node


def test_a_binding_is_for_one_pod_of_that_uid(api: Api, node: str, new_pod: Callable[..., str]) -> None:
    path = new_pod("p")
    uid = "11111111-2222-3333-4444-555555555555"
    assert "UID in precondition" in api.post(f"{path}/binding", binding("p", node, uid=uid)).fails(409, "Conflict")
    right = api.get(path).ok()["metadata"]["uid"]
    assert api.post(f"{path}/binding", binding("p", node, uid=right)).status == 201


def test_a_binding_of_nothing_or_to_nothing_is_refused(
    api: Api, ns: str, node: str, new_pod: Callable[..., str]
) -> None:
    path = new_pod("p")
    assert 'pods "q" not found' in api.post(f"/api/v1/namespaces/{ns}/pods/q/binding", binding("q", node)).fails(
        404, "NotFound"
    )
    assert api.post(f"{path}/binding", {**binding("p", node), "target": {"kind": "Node"}}).status >= 400
    other = api.post(f"{path}/binding", binding("q", node)).fails(400, "BadRequest")
    assert "does not match" in other
    assert "nodeName" not in api.get(path).ok()["spec"]


def test_a_gated_pod_is_not_bound(api: Api, node: str, new_pod: Callable[..., str]) -> None:
    path = new_pod("p", schedulingGates=[{"name": "example.org/wait"}])
    assert api.post(f"{path}/binding", binding("p", node)).status >= 400
    assert "nodeName" not in api.get(path).ok()["spec"]


def test_a_status_may_carry_annotations(api: Api, new_pod: Callable[..., str]) -> None:
    path = new_pod("p")
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "why"}
    body = {"metadata": {"annotations": {"why": "2"}, "labels": {"l": "1"}}, "status": {"conditions": [condition]}}
    api.patch(f"{path}/status", body, STRATEGIC).ok()
    pod = api.get(path).ok()
    assert pod["metadata"]["annotations"]["why"] == "2"
    (found,) = [entry for entry in pod["status"]["conditions"] if entry["type"] == "PodScheduled"]
    assert found["message"] == "why"


def test_nobody_asks_whether_the_node_is_there(api: Api, new_pod: Callable[..., str]) -> None:
    path = new_pod("p")
    assert api.post(f"{path}/binding", binding("p", unique("nowhere"))).status == 201
