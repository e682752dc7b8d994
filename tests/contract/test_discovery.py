"""How clients learn what there is: discovery, OpenAPI, versions, health, tables of built-in kinds."""

from __future__ import annotations

import time

import pytest

from .objects import Path, config_map, deployment
from .rest import TABLE, Api

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
KINDS = [
    ("v1", "configmaps", "ConfigMap", True), ("v1", "secrets", "Secret", True), ("v1", "pods", "Pod", True),
    ("v1", "services", "Service", True), ("v1", "namespaces", "Namespace", False), ("v1", "nodes", "Node", False),
    ("v1", "persistentvolumeclaims", "PersistentVolumeClaim", True), ("v1", "events", "Event", True),
    ("apps/v1", "deployments", "Deployment", True), ("apps/v1", "replicasets", "ReplicaSet", True),
    ("apps/v1", "statefulsets", "StatefulSet", True), ("apps/v1", "daemonsets", "DaemonSet", True),
    ("batch/v1", "jobs", "Job", True), ("batch/v1", "cronjobs", "CronJob", True),
    ("networking.k8s.io/v1", "ingresses", "Ingress", True), ("storage.k8s.io/v1", "storageclasses", "StorageClass", False),
    ("rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", False),
    ("coordination.k8s.io/v1", "leases", "Lease", True), ("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", True),
    ("events.k8s.io/v1", "events", "Event", True), ("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", True),
    ("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", False),
]  # fmt: skip


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


@pytest.mark.parametrize(("version", "plural", "kind", "namespaced"), KINDS)
def test_kinds_are_listed(api: Api, version: str, plural: str, kind: str, namespaced: bool) -> None:
    document = api.get(_root(version)).ok()
    assert (document["kind"], document["groupVersion"]) == ("APIResourceList", version)
    found = next(item for item in document["resources"] if item["name"] == plural)
    assert (found["kind"], found["namespaced"]) == (kind, namespaced)
    assert found["singularName"] == kind.lower()
    assert {"create", "delete", "get", "list", "patch", "update", "watch"} <= set(found["verbs"])


def test_groups_and_versions(api: Api) -> None:
    assert api.get("/api").ok()["versions"] == ["v1"]
    groups = {group["name"]: group for group in api.get("/apis").ok()["groups"]}
    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    group = api.get("/apis/apps").ok()
    assert (group["kind"], group["preferredVersion"]["version"]) == ("APIGroup", "v1")


def test_short_names_and_categories(api: Api) -> None:
    names = {item["name"]: item for item in api.get("/api/v1").ok()["resources"]}
    assert names["configmaps"]["shortNames"] == ["cm"]
    assert "all" in names["pods"]["categories"]
    assert names["pods/log"]["verbs"] == ["get"]
    assert "pods/eviction" in names
    scale = next(item for item in api.get("/apis/apps/v1").ok()["resources"] if item["name"] == "deployments/scale")
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")


def test_namespaces_are_deleted_one_by_one(api: Api) -> None:
    resources = {entry["name"]: entry for entry in api.get("/api/v1").ok()["resources"]}
    assert "deletecollection" not in resources["namespaces"]["verbs"]
    assert "deletecollection" in resources["nodes"]["verbs"]
    assert api.delete("/api/v1/namespaces").status == 405


@pytest.mark.parametrize("path", ["/api", "/apis"])
def test_everything_at_once(api: Api, path: str, widgets: Path) -> None:
    document = api.get(path, accept=f"{AGGREGATED},application/json").ok()
    assert (document["kind"], document["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    groups = {group["metadata"].get("name", ""): group for group in document["items"]}
    if path == "/api":
        resources = {item["resource"]: item for item in groups[""]["versions"][0]["resources"]}
        assert resources["pods"]["scope"] == "Namespaced"
        assert resources["pods"]["responseKind"]["kind"] == "Pod"
        assert "log" in {item["subresource"] for item in resources["pods"]["subresources"]}
        return
    (version,) = groups[widgets.group]["versions"]
    (resource,) = version["resources"]
    assert (version["version"], resource["resource"], resource["singularResource"]) == ("v1", "widgets", "widget")
    assert sorted(item["subresource"] for item in resource["subresources"]) == ["scale", "status"]


def test_documents_are_not_sent_twice(api: Api) -> None:
    accept = {"Accept": AGGREGATED}
    first = api("GET", "/apis", None, accept)
    again = api("GET", "/apis", None, {**accept, "If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


def test_version_and_health(api: Api) -> None:
    version = api.get("/version").ok()
    assert version["major"] == "1"
    assert version["gitVersion"].startswith("v1.")
    for path in ("/healthz", "/livez", "/readyz"):
        assert api.get(path, accept="*/*").body == b"ok"


def test_openapi_of_a_built_in_group(api: Api) -> None:
    paths = api.get("/openapi/v3").ok()["paths"]
    document = api.get("/openapi/v3/apis/apps/v1").ok()
    assert document["openapi"].startswith("3.0")
    schema = document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"]
    assert schema["x-kubernetes-group-version-kind"] == [{"group": "apps", "kind": "Deployment", "version": "v1"}]
    assert schema["properties"]["spec"]["description"]
    assert {"api/v1", "apis/apps/v1", "apis/batch/v1"} <= set(paths)
    assert paths["api/v1"]["serverRelativeURL"].startswith("/openapi/v3/api/v1?hash=")


def test_openapi_of_our_definition(api: Api, widgets: Path) -> None:
    wanted = f"apis/{widgets.group}/v1"
    for _ in range(200):
        if wanted in api.get("/openapi/v3").ok()["paths"]:
            break
        time.sleep(0.05)
    schemas = api.get(f"/openapi/v3/{wanted}").ok()["components"]["schemas"]
    (schema,) = [item for name, item in schemas.items() if name.endswith(".Widget")]
    assert schema["properties"]["spec"]["properties"]["size"]["maximum"] == 10
    assert schema["x-kubernetes-group-version-kind"][0]["kind"] == "Widget"


COLUMNS = {
    "configmaps": ["Name", "Data", "Age"],
    "secrets": ["Name", "Type", "Data", "Age"],
    "serviceaccounts": ["Name", "Age"],
    "pods": ["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates"],
    "services": ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector"],
    "events": ["Last Seen", "Type", "Reason", "Object", "Subobject", "Source", "Message", "First Seen", "Count", "Name"],
    "persistentvolumeclaims": ["Name", "Status", "Volume", "Capacity",
        "Access Modes", "StorageClass", "VolumeAttributesClass", "Age", "VolumeMode"],
}  # fmt: skip


@pytest.mark.parametrize("plural", COLUMNS)
def test_columns_of_core_kinds(api: Api, ns: str, plural: str) -> None:
    table = api.get(f"/api/v1/namespaces/{ns}/{plural}", accept=TABLE).ok()
    assert [column["name"] for column in table["columnDefinitions"]] == COLUMNS[plural]


def test_columns_of_cluster_kinds(api: Api) -> None:
    def names(path: str) -> list[str]:
        return [column["name"] for column in api.get(path, accept=TABLE).ok()["columnDefinitions"]]

    assert names("/api/v1/namespaces") == ["Name", "Status", "Age"]
    assert names("/api/v1/nodes")[:5] == ["Name", "Status", "Roles", "Age", "Version"]
    assert names("/apis/apiextensions.k8s.io/v1/customresourcedefinitions") == ["Name", "Created At"]
    assert names("/apis/apps/v1/deployments") == [
        "Name", "Ready", "Up-to-date", "Available", "Age", "Containers", "Images", "Selector",
    ]  # fmt: skip
    assert names("/apis/batch/v1/jobs") == [
        "Name", "Status", "Completions", "Duration", "Age", "Containers", "Images", "Selector",
    ]  # fmt: skip
    assert names("/apis/coordination.k8s.io/v1/leases") == ["Name", "Holder", "Age"]


def test_cells(api: Api, ns: str) -> None:
    services, deployments = f"/api/v1/namespaces/{ns}/services", f"/apis/apps/v1/namespaces/{ns}/deployments"
    ports = [{"name": "x", "port": 80}, {"name": "y", "port": 53, "protocol": "UDP"}]
    api.post(
        services, {"metadata": {"name": "a"}, "spec": {"clusterIP": "None", "selector": {"a": "b"}, "ports": ports}}
    ).ok()
    (row,) = api.get(services, accept=TABLE).ok()["rows"]
    assert row["cells"][:5] == ["a", "ClusterIP", "None", "<none>", "80/TCP,53/UDP"]
    assert row["cells"][6] == "a=b"
    api.post(deployments, deployment("d")).ok()
    (row,) = api.get(deployments, accept=TABLE).ok()["rows"]
    assert row["cells"][:4] == ["d", "0/0", 0, 0]
    assert row["cells"][5:] == ["main", "example.org/app:1", "app=d"]


def test_an_unacceptable_form(api: Api, maps: str) -> None:
    api.post(maps, config_map("a")).ok()
    assert api.get(maps, accept="text/csv").status == 406
