"""What built-in kinds fill in, refuse, and offer below an object."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from continuo.embedded.api import ClusterApi
from continuo.embedded.port import Write
from continuo.resources.errors import ApiError, BadRequest, Conflict, Invalid, NotFound, TooManyRequests
from continuo.resources.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, NODE, POD, ROLE_BINDING, SECRET, SERVICE
from continuo.resources.meta import Kind, Object, is_true

MakePod = Callable[..., Object]
PDB = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
JOB = Kind("batch", "v1", "Job", "jobs")


def deployment(name: str = "web", **spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}}
    return DEPLOYMENT.new(
        name, "default", spec={"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec}
    )


def service(name: str = "s", **spec: Any) -> Object:
    return SERVICE.new(name, "default", spec={"ports": [{"port": 80}], **spec})


def test_pod_defaults(api: ClusterApi, pod: MakePod) -> None:
    made = api.create(pod())
    spec, main = made["spec"], made["spec"]["containers"][0]
    assert spec["restartPolicy"] == "Always" and spec["dnsPolicy"] == "ClusterFirst"
    assert spec["terminationGracePeriodSeconds"] == 30 and spec["serviceAccountName"] == "default"
    assert main["imagePullPolicy"] == "IfNotPresent" and main["terminationMessagePath"] == "/dev/termination-log"
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [("nginx", "Always"), ("nginx:latest", "Always"), ("r:5000/nginx", "Always"), ("nginx:1", "IfNotPresent"),
     ("nginx@sha256:00", "IfNotPresent")],
)  # fmt: skip
def test_pull_policy_follows_the_tag(api: ClusterApi, pod: MakePod, image: str, policy: str) -> None:
    made = api.create(pod(containers=[{"name": "main", "image": image}]))
    assert made["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("resources", "quality"),
    [({}, "BestEffort"), ({"requests": {"cpu": "1"}}, "Burstable"),
     ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed")],
)  # fmt: skip
def test_quality_of_service(api: ClusterApi, pod: MakePod, resources: Object, quality: str) -> None:
    made = api.create(pod(containers=[{"name": "main", "image": "a", "resources": resources}]))
    assert made["status"]["qosClass"] == quality


def test_a_pod_from_a_defaulted_template_shares_it(api: ClusterApi) -> None:
    template = api.create(deployment())["spec"]["template"]["spec"]
    made = api.create(POD.new("web-1", "default", spec=template), Write(trusted=True))
    assert made["spec"]["containers"] is template["containers"]


def test_pods_change_little(api: ClusterApi, pod: MakePod) -> None:
    api.create(pod())
    image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "nginx:2"}]
    assert api.patch(POD, "web", "default", "json", image)["spec"]["containers"][0]["image"] == "nginx:2"
    api.patch(POD, "web", "default", "merge", {"spec": {"nodeName": "n1"}})
    for change in ({"nodeName": "n2"}, {"hostNetwork": True}, {"restartPolicy": "Never"}):
        with pytest.raises(Invalid, match=r"spec: Forbidden: pod updates may not change fields other than"):
            api.patch(POD, "web", "default", "merge", {"spec": change})


def test_deployment_defaults(api: ClusterApi) -> None:
    spec = api.create(deployment())["spec"]
    assert spec["replicas"] == 1 and spec["revisionHistoryLimit"] == 10 and spec["progressDeadlineSeconds"] == 600
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    recreate = api.create(deployment("r", strategy={"type": "Recreate"}))["spec"]
    assert recreate["strategy"] == {"type": "Recreate"}


def test_a_job_selects_its_own_pods(api: ClusterApi) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "a"}]}}
    made = api.create(JOB.new("j", "default", spec={"template": template}))
    selector = made["spec"]["selector"]["matchLabels"]
    assert selector == {"batch.kubernetes.io/controller-uid": made["metadata"]["uid"]}
    assert selector.items() <= made["spec"]["template"]["metadata"]["labels"].items()


# --- services ---------------------------------------------------------------------------------------------------------
def test_services_get_addresses_that_come_back(api: ClusterApi) -> None:
    first, second = api.create(service("a")), api.create(service("b"))
    address = first["spec"]["clusterIP"]
    assert address != second["spec"]["clusterIP"] and first["spec"]["clusterIPs"] == [address]
    assert first["spec"]["ports"] == [{"protocol": "TCP", "targetPort": 80, "port": 80}]
    assert first["spec"]["type"] == "ClusterIP" and first["spec"]["sessionAffinity"] == "None"
    with pytest.raises(Invalid, match=r"provided IP is already allocated"):
        api.create(service("c", clusterIP=address))
    api.delete(SERVICE, "a", "default")
    assert api.create(service("c", clusterIP=address))["spec"]["clusterIP"] == address
    assert "clusterIP" not in api.create(service("e", type="ExternalName", externalName="x.dev"))["spec"]
    assert api.create(service("h", clusterIP="None"))["spec"]["clusterIPs"] == ["None"]


def test_node_ports(api: ClusterApi) -> None:
    made = api.create(service("a", type="NodePort", ports=[{"name": "x", "port": 1}, {"name": "y", "port": 2}]))
    numbers = [port["nodePort"] for port in made["spec"]["ports"]]
    assert len(set(numbers)) == 2 and all(30000 <= number <= 32767 for number in numbers)
    with pytest.raises(Invalid, match=r"provided port is already allocated"):
        api.create(service("b", type="NodePort", ports=[{"port": 1, "nodePort": numbers[0]}]))
    with pytest.raises(Invalid, match=r"The range of valid ports is 30000-32767"):
        api.create(service("b", type="NodePort", ports=[{"port": 1, "nodePort": 80}]))
    api.create(service("d", type="NodePort"), Write(dry_run=True))
    changed = api.patch(SERVICE, "a", "default", "merge", {"metadata": {"labels": {"a": "b"}}})
    assert [port["nodePort"] for port in changed["spec"]["ports"]] == numbers


# --- refusals ---------------------------------------------------------------------------------------------------------
def _changes(kind: Kind, first: Object, patch: Object, words: str) -> tuple[Kind, Object, Object, str]:
    return kind, first, patch, words


IMMUTABLE = [
    _changes(DEPLOYMENT, deployment("x"), {"spec": {"selector": {"matchLabels": {"app": "web", "a": "b"}}}},
             "spec.selector: Invalid value: "),
    _changes(SERVICE, service("x"), {"spec": {"clusterIP": "10.96.9.9"}}, "may not change once set"),
    _changes(SECRET, SECRET.new("x", "default", immutable=True, data={"a": "YQ=="}), {"data": {"a": "Yg=="}},
             "data: Forbidden: field is immutable when `immutable` is set"),
    _changes(CONFIG_MAP, CONFIG_MAP.new("x", "default", immutable=True, data={"a": "1"}), {"immutable": False},
             "immutable: Forbidden: field is immutable when `immutable` is set"),
    _changes(SECRET, SECRET.new("x", "default", data={}), {"type": "other"},
             'type: Invalid value: "other": field is immutable'),
    _changes(ROLE_BINDING, ROLE_BINDING.new("x", "default", roleRef={"kind": "Role", "name": "a"}, subjects=[]),
             {"roleRef": {"name": "b"}}, "cannot change roleRef"),
    _changes(DEPLOYMENT, deployment("x"), {"spec": {"replicas": -1}}, "spec.replicas: Invalid value: -1: must be greater"),
    _changes(DEPLOYMENT, deployment("x"), {"spec": {"template": {"metadata": {"labels": {"app": "other"}}}}},
             "`selector` does not match template `labels`"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "first", "patch", "words"), IMMUTABLE)
def test_what_may_not_change(api: ClusterApi, kind: Kind, first: Object, patch: Object, words: str) -> None:
    made = api.create(first)
    with pytest.raises(Invalid) as caught:
        api.patch(kind, "x", "default", "merge", patch)
    assert words in str(caught.value)
    assert api.get(kind, "x", "default") is made


WRONG: list[tuple[str, Object, type[ApiError], str]] = [
    ("no selector", DEPLOYMENT.new("x", "default", spec={"template": {}}), Invalid, "spec.selector: Required value"),
    ("no ports", SERVICE.new("x", "default", spec={}), Invalid, "spec.ports: Required value"),
    ("service type", service("x", type="Magic"), Invalid, 'spec.type: Unsupported value: "Magic"'),
    ("service name", service("1x"), Invalid, "a DNS-1035 label must consist of"),
    ("nameless ports", service("x", ports=[{"port": 1}, {"port": 2}]), Invalid, "spec.ports[0].name: Required value"),
    ("port range", service("x", ports=[{"port": 70000}]), Invalid, "must be between 1 and 65535, inclusive"),
    ("same container twice", POD.new("x", "default", spec={"containers": [{"name": "a", "image": "b"}] * 2}), Invalid,
     'spec.containers[1]'),
    ("no image", POD.new("x", "default", spec={"containers": [{"name": "a"}]}), Invalid,
     "spec.containers[0].image: Required value"),
    ("job restarts", JOB.new("x", "default", spec={"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}),
     Invalid, 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "error", "words"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_refused(api: ClusterApi, obj: Object, error: type[ApiError], words: str) -> None:
    with pytest.raises(error) as caught:
        api.create(obj)
    assert words in str(caught.value)


def test_secrets_take_plain_text(api: ClusterApi) -> None:
    made = api.create(SECRET.new("x", "default", stringData={"a": "hello"}, data={"b": "Yg=="}))
    assert made["type"] == "Opaque" and "stringData" not in made
    assert base64.b64decode(made["data"]["a"]) == b"hello" and made["data"]["b"] == "Yg=="


# --- subresources -----------------------------------------------------------------------------------------------------
def test_scale_of_a_deployment(api: ClusterApi) -> None:
    made = api.create(deployment(replicas=2))
    scale = api.get_subresource(DEPLOYMENT, "web", "default", "scale")
    assert scale["kind"] == "Scale" and scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
    scaled = api.put_subresource(DEPLOYMENT, "web", "default", "scale", {**scale, "spec": {"replicas": 5}})
    assert scaled["spec"] == {"replicas": 5}
    with pytest.raises(Conflict):
        api.put_subresource(DEPLOYMENT, "web", "default", "scale", {**scale, "spec": {"replicas": 6}})
    patched = api.patch(DEPLOYMENT, "web", "default", "merge", {"spec": {"replicas": 7}}, subresource="scale")
    assert patched["kind"] == "Scale" and api.get(DEPLOYMENT, "web", "default")["spec"]["replicas"] == 7
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {}, "spec": {"replicas": 8}}
    hpa = Write(manager="hpa", force=True)
    api.patch(DEPLOYMENT, "web", "default", "apply", body, hpa, subresource="scale")
    after = api.get(DEPLOYMENT, "web", "default")
    assert after["spec"]["replicas"] == 8 and after["spec"]["template"] == made["spec"]["template"]
    with pytest.raises(Invalid, match=r"spec.replicas"):
        api.patch(DEPLOYMENT, "web", "default", "merge", {"spec": {"replicas": -2}}, subresource="scale")


def test_scale_of_a_custom_resource(api: ClusterApi, definition: Callable[..., Object], widget: Kind) -> None:
    api.create(definition())
    made = api.create(widget.new("w", "default", spec={"size": 3}))
    api.set_status(made, {"size": 1, "selector": "a=b"}, "controller")
    scale = api.get_subresource(widget, "w", "default", "scale")
    assert scale["spec"] == {"replicas": 3} and scale["status"] == {"replicas": 1, "selector": "a=b"}
    api.patch(widget, "w", "default", "merge", {"spec": {"replicas": 4}}, subresource="scale")
    assert api.get(widget, "w", "default")["spec"]["size"] == 4
    with pytest.raises(Invalid, match=r"size must be below 100"):
        api.patch(widget, "w", "default", "merge", {"spec": {"replicas": 400}}, subresource="scale")


def test_binding(api: ClusterApi, pod: MakePod) -> None:
    api.create(NODE.new("n1"))
    api.create(pod())
    body = {"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": "n1"}}
    with pytest.raises(Invalid, match=r"target\.name: Required value"):
        api.put_subresource(POD, "web", "default", "binding", {**body, "target": {}})
    bound = api.put_subresource(POD, "web", "default", "binding", body)
    assert bound["spec"]["nodeName"] == "n1" and is_true(bound, "PodScheduled")
    with pytest.raises(Conflict, match=r'pod web is already assigned to node "n1"'):
        api.put_subresource(POD, "web", "default", "binding", body)


def test_eviction_asks_the_budget(api: ClusterApi, pod: MakePod) -> None:
    labelled = pod()
    labelled["metadata"]["labels"] = {"app": "web"}
    api.create(labelled)
    budget = api.create(PDB.new("b", "default", spec={"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}))
    with pytest.raises(TooManyRequests, match=r"violate the pod's disruption budget"):
        api.put_subresource(POD, "web", "default", "eviction", {})
    api.set_status(budget, {"disruptionsAllowed": 1}, "controller")
    api.put_subresource(POD, "web", "default", "eviction", {})
    assert api.find(POD, "web", "default") is None


def test_subresources_that_are_not_there(api: ClusterApi) -> None:
    api.create(CONFIG_MAP.new("c", "default"))
    assert api.subresources(CONFIG_MAP) == ()
    with pytest.raises(NotFound):
        api.get_subresource(CONFIG_MAP, "c", "default", "scale")
    with pytest.raises(BadRequest, match=r"must be a Scale"):
        api.create(deployment())
        api.put_subresource(DEPLOYMENT, "web", "default", "scale", {"kind": "Pod"})


def test_nodes_bring_their_status(api: ClusterApi) -> None:
    made = api.create(NODE.new("n1", status={"capacity": {"cpu": "4"}}))
    assert made["status"]["capacity"] == {"cpu": "4"}
    assert api.get(NAMESPACE, "default")["status"] == {"phase": "Active"}
