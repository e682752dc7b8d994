"""Merge, JSON and strategic patches."""

from __future__ import annotations

import pytest

from .objects import Path, config_map, deployment
from .rest import JSON_PATCH, STRATEGIC, Api, Object


def test_a_merge_patch_sets_and_removes(api: Api, maps: str) -> None:
    api.post(maps, config_map("a", {"k": "1", "l": "2"}, labels={"x": "1"})).ok()
    after = api.patch(f"{maps}/a", {"data": {"k": None, "m": "3"}, "metadata": {"labels": {"x": None}}}).ok()
    assert after["data"] == {"l": "2", "m": "3"}
    assert "labels" not in after["metadata"]


def test_a_json_patch(api: Api, maps: str, a_map: Object) -> None:
    steps = [
        {"op": "test", "path": "/data/k", "value": "1"},
        {"op": "add", "path": "/metadata/annotations", "value": {"a/b": "1"}},
        {"op": "replace", "path": "/metadata/annotations/a~1b", "value": "2"},
        {"op": "move", "from": "/data/k", "path": "/data/moved"},
        {"op": "copy", "from": "/data/moved", "path": "/data/copy"},
        {"op": "replace", "path": "/data/copy", "value": "3"},
        {"op": "add", "path": "/metadata/labels", "value": {"l": "1"}},
        {"op": "remove", "path": "/data/moved"},
    ]
    after = api.patch(f"{maps}/a", steps, JSON_PATCH).ok()
    assert after["data"] == {"copy": "3"}
    assert after["metadata"]["annotations"] == {"a/b": "2"}
    assert after["metadata"]["labels"] == {"l": "1"}


@pytest.mark.parametrize(
    "step", [{"op": "test", "path": "/data/k", "value": "2"}, {"op": "remove", "path": "/data/none"}]
)
def test_a_json_patch_that_does_not_apply(api: Api, maps: str, a_map: Object, step: Object) -> None:
    message = api.patch(f"{maps}/a", [step], JSON_PATCH).fails(422, "Invalid")
    assert message == "the server rejected our request due to an error in our request"
    assert api.get(f"{maps}/a").ok() == a_map


def test_bodies_that_are_no_patches(api: Api, maps: str, a_map: Object) -> None:
    assert api.patch(f"{maps}/a", b"{", JSON_PATCH).status == 400
    assert api.patch(f"{maps}/a", b"[", STRATEGIC).status == 400
    assert api.patch(f"{maps}/a", b"{").status == 400
    assert api.patch(f"{maps}/a", {}, "text/plain").status == 415


def test_a_strategic_patch_merges_lists_by_key(api: Api, ns: str) -> None:
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    api.post(path, deployment("a")).ok()
    more = {"containers": [{"name": "side", "image": "example.org/side:1"}], "nodeSelector": {"a": "b"}}
    after = api.patch(f"{path}/a", {"spec": {"template": {"spec": more}}}, STRATEGIC).ok()
    found = after["spec"]["template"]["spec"]["containers"]
    assert {item["name"]: item["image"] for item in found} == {
        "main": "example.org/app:1",
        "side": "example.org/side:1",
    }
    less = {"containers": [{"name": "main", "$patch": "delete"}], "nodeSelector": {"$patch": "replace", "c": "d"}}
    after = api.patch(f"{path}/a", {"spec": {"template": {"spec": less}}}, STRATEGIC).ok()
    assert [item["name"] for item in after["spec"]["template"]["spec"]["containers"]] == ["side"]
    assert after["spec"]["template"]["spec"]["nodeSelector"] == {"c": "d"}


def test_a_strategic_patch_of_primitive_lists(api: Api, maps: str) -> None:
    api.post(maps, config_map("a", finalizers=["example.org/a"])).ok()
    after = api.patch(f"{maps}/a", {"metadata": {"finalizers": ["example.org/b"]}}, STRATEGIC).ok()
    assert sorted(after["metadata"]["finalizers"]) == ["example.org/a", "example.org/b"]
    gone = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.org/a", "example.org/b"]}}
    assert "finalizers" not in api.patch(f"{maps}/a", gone, STRATEGIC).ok()["metadata"]


def test_a_merge_patch_replaces_lists(api: Api, ns: str) -> None:
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    api.post(path, deployment("a")).ok()
    more = {"containers": [{"name": "side", "image": "example.org/side:1"}]}
    after = api.patch(f"{path}/a", {"spec": {"template": {"spec": more}}}).ok()
    assert [item["name"] for item in after["spec"]["template"]["spec"]["containers"]] == ["side"]


def test_custom_resources_have_no_strategic_patch(api: Api, ns: str, widgets: Path) -> None:
    api.post(widgets(ns), widgets.new("a", spec={"size": 1})).ok()
    message = api.patch(widgets(ns, "a"), {"spec": {"size": 2}}, STRATEGIC).fails(415, "UnsupportedMediaType")
    assert message == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )
    assert api.patch(widgets(ns, "a"), [{"op": "add", "path": "/spec/size", "value": 3}], JSON_PATCH).status == 200


def test_a_patch_is_validated(api: Api, maps: str, ns: str, widgets: Path) -> None:
    api.post(widgets(ns), widgets.new("a", spec={"size": 1})).ok()
    message = api.patch(widgets(ns, "a"), {"spec": {"size": 11}}).fails(422, "Invalid")
    assert "spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10" in message
    message = api.patch(widgets(ns, "a"), {"spec": {"sise": 2}}, fieldValidation="Strict").fails(422, "Invalid")
    assert message.startswith(' "" is invalid: patch: Invalid value: "{')
    assert message.endswith(': strict decoding error: unknown field "spec.sise"')


def test_names_cannot_be_patched(api: Api, maps: str, a_map: Object) -> None:
    message = api.patch(f"{maps}/a", {"metadata": {"name": "b"}}).fails(400, "BadRequest")
    assert message == "the name of the object (b) does not match the name on the URL (a)"
