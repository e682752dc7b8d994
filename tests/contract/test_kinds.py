"""What built-in kinds default, check and forbid."""

from __future__ import annotations

import base64

import pytest

from .objects import config_map, deployment
from .rest import STRATEGIC, Api, Object


def _v1(ns: str, plural: str) -> str:
    return f"/api/v1/namespaces/{ns}/{plural}"


def _apps(ns: str, plural: str) -> str:
    return f"/apis/apps/v1/namespaces/{ns}/{plural}"


def test_secrets_take_plain_text_and_keep_base64(api: Api, secrets: str) -> None:
    body = {"metadata": {"name": "a"}, "data": {"x": "MQ==", "y": "Mg=="}, "stringData": {"x": "one", "z": "ü"}}
    created = api.post(secrets, body).ok()
    assert "stringData" not in created
    assert created["type"] == "Opaque"
    assert created["data"] == {"x": "b25l", "y": "Mg==", "z": base64.b64encode("ü".encode()).decode()}
    after = api.patch(f"{secrets}/a", {"stringData": {"x": "two"}}).ok()
    assert after["data"]["x"] == "dHdv"
    message = api.patch(f"{secrets}/a", {"type": "other"}).fails(422, "Invalid")
    assert message == 'Secret "a" is invalid: type: Invalid value: "other": field is immutable'
    message = api.post(secrets, {"metadata": {"name": "b"}, "data": {"x": "not base64!"}}).fails(400, "BadRequest")
    assert message.startswith('Secret in version "v1" cannot be handled as a Secret: ')


def test_kinds_of_secrets_have_their_keys(api: Api, secrets: str) -> None:
    message = api.post(secrets, {"metadata": {"name": "a"}, "type": "kubernetes.io/tls", "data": {}}).fails(
        422, "Invalid"
    )
    assert "data[tls.crt]: Required value" in message
    body = {
        "metadata": {"name": "a"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": "{"},
    }
    assert "data[.dockerconfigjson]: Invalid value" in api.post(secrets, body).fails(422, "Invalid")


def test_services_get_addresses_and_defaults(api: Api, ns: str) -> None:
    path = _v1(ns, "services")
    spec = api.post(path, {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}).ok()["spec"]
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert (spec["type"], spec["sessionAffinity"], spec["internalTrafficPolicy"]) == ("ClusterIP", "None", "Cluster")
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["clusterIP"].count(".") == 3
    other = api.post(path, {"metadata": {"name": "b"}, "spec": {"ports": [{"port": 80}]}}).ok()["spec"]
    assert other["clusterIP"] != spec["clusterIP"]
    message = api.patch(f"{path}/a", {"spec": {"clusterIP": "10.96.9.9", "clusterIPs": ["10.96.9.9"]}}).fails(
        422, "Invalid"
    )
    assert "field is immutable" in message or "may not change once set" in message
    taken = {"metadata": {"name": "c"}, "spec": {"clusterIP": spec["clusterIP"], "ports": [{"port": 80}]}}
    assert "provided IP is already allocated" in api.post(path, taken).fails(422, "Invalid")


def test_node_ports(api: Api, ns: str) -> None:
    path = _v1(ns, "services")
    spec = api.post(path, {"metadata": {"name": "a"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}).ok()[
        "spec"
    ]
    assert 30000 <= spec["ports"][0]["nodePort"] <= 32767
    assert spec["externalTrafficPolicy"] == "Cluster"
    taken = [{"port": 81, "nodePort": spec["ports"][0]["nodePort"]}]
    message = api.post(path, {"metadata": {"name": "b"}, "spec": {"type": "NodePort", "ports": taken}}).fails(
        422, "Invalid"
    )
    assert "spec.ports[0].nodePort: Invalid value: " in message
    assert "provided port is already allocated" in message
    back = api.patch(f"{path}/a", {"spec": {"type": "ClusterIP"}}).ok()["spec"]
    assert "nodePort" not in back["ports"][0]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"ports": []}, "spec.ports: Required value"),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ({"ports": [{"port": 1}, {"port": 2}]}, "spec.ports[0].name: Required value"),
        ({"ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]}, 'spec.ports[1].name: Duplicate value: "a"'),
        ({"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 1}]}, "spec.ports[1]: Duplicate value"),
        ({"ports": [{"port": 1, "protocol": "ICMP"}]}, 'spec.ports[0].protocol: Unsupported value: "ICMP"'),
        ({"type": "Magic", "ports": [{"port": 1}]}, 'spec.type: Unsupported value: "Magic"'),
        ({"type": "ExternalName"}, "spec.externalName"),
        ({"clusterIP": "banana", "ports": [{"port": 1}]}, "spec.clusterIPs[0]: Invalid value"),
    ],
)
def test_services_that_are_wrong(api: Api, ns: str, spec: Object, says: str) -> None:
    message = api.post(_v1(ns, "services"), {"metadata": {"name": "a"}, "spec": spec}).fails(422, "Invalid")
    assert message.startswith('Service "a" is invalid: ')
    assert says in message


def test_service_names_are_labels_or_stricter(api: Api, ns: str) -> None:
    assert api.post(_v1(ns, "services"), {"metadata": {"name": "a.b"}, "spec": {"ports": [{"port": 1}]}}).fails(
        422, "Invalid"
    )


def test_deployments_default(api: Api, ns: str) -> None:
    body = deployment("a")
    del body["spec"]["replicas"]
    body["spec"]["paused"] = True
    created = api.post(_apps(ns, "deployments"), body).ok()
    spec, pod = created["spec"], created["spec"]["template"]["spec"]
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    assert (pod["restartPolicy"], pod["dnsPolicy"], pod["terminationGracePeriodSeconds"]) == (
        "Always",
        "ClusterFirst",
        30,
    )
    assert (pod["schedulerName"], pod["securityContext"]) == ("default-scheduler", {})
    assert pod["containers"] == [{
        "name": "main", "image": "example.org/app:1", "imagePullPolicy": "IfNotPresent", "resources": {},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    }]  # fmt: skip
    assert created["metadata"]["generation"] == 1


def test_null_is_as_good_as_nothing(api: Api, ns: str) -> None:
    body = deployment("a")
    body["spec"]["template"]["metadata"]["creationTimestamp"] = None
    body["spec"]["template"]["spec"]["containers"][0]["env"] = None
    created = api.post(_apps(ns, "deployments"), body).ok()
    assert not created["spec"]["template"]["metadata"].get("creationTimestamp")
    assert "env" not in created["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize(("image", "policy"), [("app", "Always"), ("app:latest", "Always"), ("app:1", "IfNotPresent")])
def test_when_images_are_pulled(api: Api, ns: str, image: str, policy: str) -> None:
    body = deployment("a")
    body["spec"]["template"]["spec"]["containers"][0]["image"] = image
    container = api.post(_apps(ns, "deployments"), body).ok()["spec"]["template"]["spec"]["containers"][0]
    assert container["imagePullPolicy"] == policy


def test_selectors_are_immutable_and_must_match(api: Api, ns: str) -> None:
    path = _apps(ns, "deployments")
    api.post(path, deployment("a")).ok()
    change = {"spec": {"selector": {"matchLabels": {"app": "b"}}, "template": {"metadata": {"labels": {"app": "b"}}}}}
    message = api.patch(f"{path}/a", change).fails(422, "Invalid")
    assert "spec.selector: Invalid value: " in message
    assert message.endswith("field is immutable")
    body = deployment("b", selector={"matchLabels": {"app": "c"}})
    message = api.post(path, body).fails(422, "Invalid")
    assert "spec.template.metadata.labels: Invalid value: " in message
    assert "`selector` does not match template `labels`" in message
    body = deployment("b")
    del body["spec"]["selector"]
    assert "spec.selector: Required value" in api.post(path, body).fails(422, "Invalid")


@pytest.mark.parametrize(
    ("container", "says"),
    [
        ({"name": "main"}, "image: Required value"),
        ({"image": "x"}, "name: Required value"),
        ({"name": "UP", "image": "x"}, 'name: Invalid value: "UP"'),
        ({"name": "main", "image": "x", "ports": [{"containerPort": 99999}]}, "ports[0].containerPort: Invalid value: 99999"),
        ({"name": "main", "image": "x", "imagePullPolicy": "Maybe"}, 'imagePullPolicy: Unsupported value: "Maybe"'),
        ({"name": "main", "image": "x", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
         "resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"),
        ({"name": "main", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]},
         'volumeMounts[0].name: Not found: "v"'),
        ({"name": "main", "image": "x", "env": [{"name": "", "value": "1"}]}, "env[0].name: Required value"),
    ],
)  # fmt: skip
def test_containers_that_are_wrong(api: Api, ns: str, container: Object, says: str) -> None:
    body = deployment("a")
    body["spec"]["template"]["spec"]["containers"] = [container]
    message = api.post(_apps(ns, "deployments"), body).fails(422, "Invalid")
    assert f"spec.template.spec.containers[0].{says}" in message


def test_quantities_are_checked(api: Api, ns: str) -> None:
    body = deployment("a")
    body["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"memory": "lots"}}
    message = api.post(_apps(ns, "deployments"), body).fails(400, "BadRequest")
    assert "quantities must match the regular expression" in message


def test_scale_of_a_deployment(api: Api, ns: str) -> None:
    path = f"{_apps(ns, 'deployments')}/a"
    api.post(_apps(ns, "deployments"), deployment("a", paused=True)).ok()
    assert api.get(f"{path}/scale").ok()["spec"] == {}
    assert api.patch(f"{path}/scale", {"spec": {"replicas": 3}}).ok()["spec"] == {"replicas": 3}
    found = api.get(path).ok()
    assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (3, 2)
    assert api.get(f"{path}/scale").ok()["status"]["selector"] == "app=a"


def test_jobs_get_a_selector(api: Api, ns: str) -> None:
    pod = {"containers": [{"name": "main", "image": "x"}], "restartPolicy": "Never"}
    body = {"metadata": {"name": "a"}, "spec": {"suspend": True, "template": {"spec": pod}}}
    created = api.post(f"/apis/batch/v1/namespaces/{ns}/jobs", body).ok()
    uid = created["metadata"]["uid"]
    assert created["spec"]["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": uid}
    assert created["spec"]["template"]["metadata"]["labels"]["job-name"] == "a"
    assert (created["spec"]["backoffLimit"], created["spec"]["completions"], created["spec"]["parallelism"]) == (
        6,
        1,
        1,
    )
    pod["restartPolicy"] = "Always"
    message = api.post(
        f"/apis/batch/v1/namespaces/{ns}/jobs", {"metadata": {"name": "b"}, "spec": {"template": {"spec": pod}}}
    )
    assert 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"' in message.fails(
        422, "Invalid"
    )


def test_claims(api: Api, ns: str) -> None:
    path = _v1(ns, "persistentvolumeclaims")
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "none"}
    created = api.post(path, {"metadata": {"name": "a"}, "spec": spec}).ok()
    assert (created["spec"]["volumeMode"], created["status"]["phase"]) == ("Filesystem", "Pending")
    message = api.patch(f"{path}/a", {"spec": {"accessModes": ["ReadOnlyMany"]}}).fails(422, "Invalid")
    assert "spec is immutable after creation except resources.requests" in message
    assert "accessModes" in api.post(path, {"metadata": {"name": "b"}, "spec": {**spec, "accessModes": []}}).fails(
        422, "Invalid"
    )


def test_leases(api: Api, ns: str) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"
    spec = {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "renewTime": "2025-01-01T00:00:00.123456Z",
        "leaseTransitions": 0,
    }
    created = api.post(path, {"metadata": {"name": "a"}, "spec": spec}).ok()
    assert created["spec"] == spec
    taken = {**created, "spec": {**spec, "holderIdentity": "b", "leaseTransitions": 1}}
    assert api.put(f"{path}/a", taken).ok()["spec"]["holderIdentity"] == "b"
    assert api.put(f"{path}/a", {**created, "spec": {**spec, "holderIdentity": "c"}}).fails(409, "Conflict")
    assert "spec.leaseDurationSeconds: Invalid value" in api.patch(
        f"{path}/a", {"spec": {"leaseDurationSeconds": 0}}
    ).fails(422, "Invalid")


def test_events_are_the_same_in_both_groups(api: Api, ns: str) -> None:
    core, new = _v1(ns, "events"), f"/apis/events.k8s.io/v1/namespaces/{ns}/events"
    regarding = {"kind": "ConfigMap", "apiVersion": "v1", "name": "a", "namespace": ns}
    api.post(new, {
        "metadata": {"name": "e"}, "regarding": regarding, "reason": "Placed", "note": "here", "type": "Normal",
        "action": "Place",
        "reportingController": "example.org/c", "reportingInstance": "i", "eventTime": "2025-01-01T00:00:00.000001Z",
    }).ok()  # fmt: skip
    old = api.get(f"{core}/e").ok()
    assert (old["kind"], old["apiVersion"], old["message"], old["involvedObject"]) == ("Event", "v1", "here", regarding)
    assert (old["reportingComponent"], old["eventTime"]) == ("example.org/c", "2025-01-01T00:00:00.000001Z")
    assert api.get(core, fieldSelector="involvedObject.name=a,reason=Placed").names == ["e"]
    assert api.get(new, fieldSelector="regarding.name=a").names == ["e"]
    api.post(
        core,
        {
            "metadata": {"name": "f", "namespace": ns},
            "involvedObject": regarding,
            "reason": "Old",
            "message": "there",
            "type": "Warning",
            "firstTimestamp": "2025-01-01T00:00:00Z",
            "lastTimestamp": "2025-01-01T00:00:00Z",
            "count": 2,
            "source": {"component": "x"},
        },
    ).ok()
    seen = api.get(f"{new}/f").ok()
    assert (seen["note"], seen["deprecatedCount"], seen["deprecatedSource"]) == ("there", 2, {"component": "x"})


def test_pods_cannot_be_changed_much(api: Api, ns: str) -> None:
    path = _v1(ns, "pods")
    api.until(_v1(ns, "serviceaccounts"), "default", bool)
    pod = {"metadata": {"name": "a"}, "spec": {"nodeName": "nowhere", "containers": [{"name": "main", "image": "x:1"}]}}
    created = api.post(path, pod).ok()
    assert created["status"]["phase"] == "Pending"
    assert created["status"]["qosClass"] == "BestEffort"
    assert created["spec"]["serviceAccountName"] == "default"
    assert api.patch(f"{path}/a", {"spec": {"containers": [{"name": "main", "image": "x:2"}]}}, STRATEGIC).status == 200
    message = api.patch(f"{path}/a", {"spec": {"nodeName": "other"}}).fails(422, "Invalid")
    assert "pod updates may not change fields other than `spec.containers[*].image`" in message
    marked = api.delete(f"{path}/a", gracePeriodSeconds=30).ok()
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert api.delete(f"{path}/a", gracePeriodSeconds=0).status == 200


def test_namespaces_names(api: Api) -> None:
    message = api.post("/api/v1/namespaces", {"metadata": {"name": "a.b"}}).fails(422, "Invalid")
    assert message == 'Namespace "a.b" is invalid: metadata.name: Invalid value: "a.b": must not contain dots'


def test_empty_lists_and_maps_are_left_out(api: Api, ns: str, maps: str) -> None:
    assert "data" not in api.post(maps, config_map("hollow", {})).ok()
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    body = deployment("hollow")
    body["spec"]["template"]["spec"] |= {"volumes": [], "nodeSelector": {}, "securityContext": {}}
    body["spec"]["template"]["spec"]["containers"][0] |= {"env": [], "resources": {"limits": {}}}
    spec = api.post(path, body).ok()["spec"]["template"]["spec"]
    assert "volumes" not in spec and "nodeSelector" not in spec
    assert (spec["securityContext"], spec["containers"][0]["resources"]) == ({}, {})
    assert "env" not in spec["containers"][0]


def test_defaults_of_policies_and_limits(api: Api, ns: str) -> None:
    spec = {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}], "egress": [{}]}
    path = f"/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies"
    policy = api.post(path, {"metadata": {"name": "a"}, "spec": spec}).ok()["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": 80}]}]
    limits = {"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}, "default": {"memory": "2Mi"}}
    body = {"metadata": {"name": "a"}, "spec": {"limits": [limits]}}
    (entry,) = api.post(_v1(ns, "limitranges"), body).ok()["spec"]["limits"]
    assert entry["default"] == {"cpu": "2", "memory": "2Mi"}
    assert entry["defaultRequest"] == {"cpu": "2", "memory": "2Mi"}


def test_classes_of_priority_preempt(api: Api, ns: str) -> None:
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    found = api.post(path, {"metadata": {"name": ns}, "value": 100}, dryRun="All").ok()
    assert found["preemptionPolicy"] == "PreemptLowerPriority"
