from __future__ import annotations

import pytest
from http_client import Client, widget_definition

from continuo.embedded.http.discovery import version_priority

pytestmark = pytest.mark.anyio
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def _entry(document: dict, name: str) -> dict:
    return next(entry for entry in document["resources"] if entry["name"] == name)


async def test_the_legacy_documents_with_and_without_slash(admin: Client) -> None:
    for slash in ("", "/"):
        assert (await admin.get(f"/api{slash}")).json["versions"] == ["v1"]
        groups = (await admin.get(f"/apis{slash}")).json
        assert "apps" in [group["name"] for group in groups["groups"]]
        core = (await admin.get(f"/api/v1{slash}")).json
        assert core["groupVersion"] == "v1"
    pods = _entry(core, "pods")
    assert (pods["singularName"], pods["shortNames"], pods["categories"]) == ("pod", ["po"], ["all"])
    assert _entry(core, "pods/log")["verbs"] == ["get"]
    assert _entry(core, "pods/eviction")["group"] == "policy"
    apps = (await admin.get("/apis/apps/v1")).json
    scale = _entry(apps, "deployments/scale")
    assert (scale["kind"], scale["group"], scale["version"]) == ("Scale", "autoscaling", "v1")
    assert (await admin.get("/apis/apps")).json["preferredVersion"]["groupVersion"] == "apps/v1"
    assert (await admin.get("/apis/apps/v9")).status == 404


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
async def test_the_aggregated_form_answers_the_asked_version(admin: Client, version: str) -> None:
    accept = AGGREGATED.format(version) + ",application/json"
    for path in ("/api", "/apis"):
        reply = await admin.get(path, accept=accept)
        assert reply.headers["content-type"] == AGGREGATED.format(version)
        assert reply.json["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    apps = next(item for item in reply.json["items"] if item["metadata"]["name"] == "apps")
    deployments = next(r for r in apps["versions"][0]["resources"] if r["resource"] == "deployments")
    assert deployments["scope"] == "Namespaced"
    assert [sub["subresource"] for sub in deployments["subresources"]] == ["scale", "status"]
    again = await admin.get("/apis", accept=accept, **{"if-none-match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_an_unknown_aggregated_version_falls_back_to_json(admin: Client) -> None:
    reply = await admin.get("/apis", accept=AGGREGATED.format("v3") + ",application/json")
    assert reply.json["kind"] == "APIGroupList"


async def test_definitions_come_and_go_at_once(admin: Client) -> None:
    assert (await admin.get("/apis/example.org/v1")).status == 404
    await admin.post(DEFINITIONS, widget_definition())
    listed = (await admin.get("/apis/example.org/v1")).json
    assert {entry["name"] for entry in listed["resources"]} == {"widgets", "widgets/status", "widgets/scale"}
    assert "example.org" in [group["name"] for group in (await admin.get("/apis")).json["groups"]]
    assert (await admin.get("/openapi/v3/apis/example.org/v1")).status == 200
    version = (await admin.get(DEFINITIONS)).json["metadata"]["resourceVersion"]
    async with admin.watch(f"{DEFINITIONS}?watch=1&resourceVersion={version}") as stream:
        await admin.delete(f"{DEFINITIONS}/widgets.example.org")
        while (await stream.next())["type"] != "DELETED":
            pass
    assert (await admin.get("/apis/example.org/v1")).status == 404
    assert "example.org" not in [group["name"] for group in (await admin.get("/apis")).json["groups"]]
    assert "apis/example.org/v1" not in (await admin.get("/openapi/v3")).json["paths"]


def test_versions_are_ordered_as_kubernetes_prefers_them() -> None:
    given = ["v1alpha1", "v2", "foo", "v1", "v1beta2", "v10", "v1beta1"]
    expected = ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]
    assert sorted(given, key=version_priority, reverse=True) == expected


# --- OpenAPI ----------------------------------------------------------------------------------------------------------
async def test_the_index_names_documents_by_their_content(widgets: Client) -> None:
    index = (await widgets.get("/openapi/v3")).json["paths"]
    url = index["apis/example.org/v1"]["serverRelativeURL"]
    reply = await widgets.get(url)
    assert reply.headers["cache-control"] == "public, immutable"
    etag = reply.headers["etag"]
    assert etag.strip('"') in url
    assert (await widgets.get(url, **{"if-none-match": etag})).status == 304
    changed = widget_definition()
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "Another widget."
    await widgets.patch(f"{DEFINITIONS}/widgets.example.org", {"spec": changed["spec"]})
    assert (await widgets.get("/openapi/v3")).json["paths"]["apis/example.org/v1"]["serverRelativeURL"] != url
    assert (await widgets.get("/openapi/v3")).json["paths"]["apis/apps/v1"] == index["apis/apps/v1"]


async def test_a_custom_document_has_what_kubectl_looks_for(widgets: Client) -> None:
    document = (await widgets.get("/openapi/v3/apis/example.org/v1")).json
    schema = document["components"]["schemas"]["org.example.v1.Widget"]
    gvk = {"group": "example.org", "version": "v1", "kind": "Widget"}
    assert schema["x-kubernetes-group-version-kind"] == [gvk]
    assert schema["properties"]["spec"]["properties"]["replicas"]["type"] == "integer"
    path = document["paths"]["/apis/example.org/v1/namespaces/{namespace}/widgets/{name}"]
    assert path["patch"]["x-kubernetes-group-version-kind"] == gvk
    assert "fieldValidation" in [parameter["name"] for parameter in path["patch"]["parameters"]]
    assert "application/strategic-merge-patch+json" not in path["patch"]["requestBody"]["content"]
    assert "/apis/example.org/v1/widgets" in document["paths"]


def _references(value: object) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return found.union(*map(_references, value.values()))
    return set().union(*map(_references, value)) if isinstance(value, list) else set()


async def test_every_reference_of_every_document_resolves(widgets: Client) -> None:
    for path in (await widgets.get("/openapi/v3")).json["paths"]:
        document = (await widgets.get(f"/openapi/v3/{path}")).json
        known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
        assert _references(document) <= known, path


async def test_v2_is_json_only(widgets: Client) -> None:
    protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    assert (await widgets.get("/openapi/v2", accept=protobuf)).status == 406
    document = (await widgets.get("/openapi/v2")).json
    assert document["swagger"] == "2.0"
    assert _references(document) <= {f"#/definitions/{name}" for name in document["definitions"]}
    assert "org.example.v1.Widget" in document["definitions"]
