"""Server-side apply: who owns which field."""

from __future__ import annotations

from typing import Any

from .objects import Path, config_map, deployment
from .rest import Api, Object


def managers(obj: Object) -> dict[tuple[str, str], Any]:
    """(manager, operation[, subresource]) -> fields."""
    return {
        (entry["manager"], entry["operation"], *([entry["subresource"]] if "subresource" in entry else [])): entry[
            "fieldsV1"
        ]
        for entry in obj["metadata"]["managedFields"]
    }


def test_apply_creates_and_records_the_manager(api: Api, maps: str) -> None:
    reply = api.apply(f"{maps}/a", config_map("a", {"k": "1"}))
    assert reply.status == 201
    (entry,) = reply.json["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("one", "Apply", "v1")
    assert entry["fieldsV1"] == {"f:data": {"f:k": {}}}
    assert api.apply(f"{maps}/a", config_map("a", {"k": "2"})).status == 200


def test_a_manager_is_required(api: Api, maps: str) -> None:
    message = api.patch(f"{maps}/a", config_map("a"), "application/apply-patch+yaml").fails(422, "Invalid")
    assert "fieldManager: Required value: is required for apply patch" in message


def test_apply_needs_kind_and_version(api: Api, maps: str) -> None:
    assert api.apply(f"{maps}/a", {"metadata": {"name": "a"}}).fails(400, "BadRequest")


def test_managed_fields_cannot_be_applied(api: Api, maps: str) -> None:
    message = api.apply(f"{maps}/a", config_map("a", managedFields=[{"manager": "x"}])).fails(400, "BadRequest")
    assert message == "metadata.managedFields must be nil"


def test_fields_left_out_are_removed(api: Api, maps: str) -> None:
    api.apply(f"{maps}/a", config_map("a", {"k": "1", "l": "2"}, labels={"x": "1"})).ok()
    after = api.apply(f"{maps}/a", config_map("a", {"l": "2"})).ok()
    assert after["data"] == {"l": "2"}
    assert "labels" not in after["metadata"]


def test_what_others_own_is_a_conflict(api: Api, maps: str) -> None:
    api.apply(f"{maps}/a", config_map("a", {"k": "1", "l": "1"})).ok()
    reply = api.apply(f"{maps}/a", config_map("a", {"k": "2", "m": "1"}), "two")
    assert reply.fails(409, "Conflict") == 'Apply failed with 1 conflict: conflict with "one": .data.k'
    assert reply.json["details"] == {
        "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k"}]
    }
    both = api.apply(f"{maps}/a", config_map("a", {"k": "2", "l": "2"}), "two").fails(409, "Conflict")
    assert both == 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.k\n- .data.l'


def test_force_takes_over(api: Api, maps: str) -> None:
    api.apply(f"{maps}/a", config_map("a", {"k": "1", "l": "1"})).ok()
    after = api.apply(f"{maps}/a", config_map("a", {"k": "2"}), "two", force="true").ok()
    assert after["data"] == {"k": "2", "l": "1"}
    assert managers(after) == {
        ("one", "Apply"): {"f:data": {"f:l": {}}},
        ("two", "Apply"): {"f:data": {"f:k": {}}},
    }
    assert api.apply(f"{maps}/a", config_map("a", {"l": "1"})).ok()["data"] == {"k": "2", "l": "1"}
    assert api.apply(f"{maps}/a", config_map("a"), "two").ok()["data"] == {"l": "1"}


def test_equal_values_are_shared(api: Api, maps: str) -> None:
    api.apply(f"{maps}/a", config_map("a", {"k": "1"})).ok()
    shared = api.apply(f"{maps}/a", config_map("a", {"k": "1"}), "two").ok()
    assert len(managers(shared)) == 2
    assert api.apply(f"{maps}/a", config_map("a")).ok()["data"] == {"k": "1"}
    assert "data" not in api.apply(f"{maps}/a", config_map("a"), "two").ok()


def test_an_update_takes_ownership_silently(api: Api, maps: str) -> None:
    api.apply(f"{maps}/a", config_map("a", {"k": "1"})).ok()
    after = api.patch(f"{maps}/a", {"data": {"k": "2"}}, fieldManager="editor").ok()
    assert managers(after) == {("editor", "Update"): {"f:data": {"f:k": {}}}}
    message = api.apply(f"{maps}/a", config_map("a", {"k": "1"})).fails(409, "Conflict")
    assert message.startswith('Apply failed with 1 conflict: conflict with "editor" using v1')
    assert message.endswith(": .data.k")


def test_managed_fields_can_be_cleared(api: Api, maps: str) -> None:
    api.apply(f"{maps}/a", config_map("a", {"k": "1"})).ok()
    after = api.patch(f"{maps}/a", {"metadata": {"managedFields": [{}]}}).ok()
    assert "managedFields" not in after["metadata"]
    entries = managers(api.apply(f"{maps}/a", config_map("a", {"k": "1"})).ok())
    assert entries[("one", "Apply")] == {"f:data": {"f:k": {}}}


def test_lists_with_keys_are_owned_item_by_item(api: Api, ns: str) -> None:
    path = f"/apis/apps/v1/namespaces/{ns}/deployments/a"
    api.apply(path, deployment("a")).ok()
    side = {"containers": [{"name": "side", "image": "example.org/side:1"}]}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"template": {"spec": side}},
    }
    after = api.apply(path, body, "two").ok()
    assert sorted(item["name"] for item in after["spec"]["template"]["spec"]["containers"]) == ["main", "side"]
    fields = managers(after)[("two", "Apply")]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert fields == {'k:{"name":"side"}': {".": {}, "f:image": {}, "f:name": {}}}
    gone = api.apply(path, {**body, "spec": {}}, "two").ok()
    assert [item["name"] for item in gone["spec"]["template"]["spec"]["containers"]] == ["main"]


def test_ports_are_keyed_by_number_and_protocol(api: Api, ns: str) -> None:
    path = f"/api/v1/namespaces/{ns}/services/a"

    def service(*ports: Object) -> Object:
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": list(ports)}}

    api.apply(path, service({"name": "x", "port": 53, "protocol": "UDP"})).ok()
    after = api.apply(path, service({"name": "y", "port": 53, "protocol": "TCP"}), "two").ok()
    assert sorted((port["name"], port["protocol"]) for port in after["spec"]["ports"]) == [("x", "UDP"), ("y", "TCP")]
    keys = managers(after)[("two", "Apply")]["f:spec"]["f:ports"]
    assert list(keys) == ['k:{"port":53,"protocol":"TCP"}']


def test_custom_lists_sets_and_whole_values(api: Api, ns: str, widgets: Path) -> None:
    path = widgets(ns, "a")
    api.apply(path, widgets.new("a", spec={"size": 1, "parts": [{"name": "p", "count": 1}], "tags": ["x"]})).ok()
    after = api.apply(
        path, widgets.new("a", spec={"size": 1, "parts": [{"name": "q"}], "tags": ["x", "y"]}), "two"
    ).ok()
    assert after["spec"]["parts"] == [{"name": "p", "count": 1}, {"name": "q"}]
    assert after["spec"]["tags"] == ["x", "y"]
    fields = managers(after)[("two", "Apply")]["f:spec"]
    assert fields["f:tags"] == {'v:"x"': {}, 'v:"y"': {}}
    assert fields["f:parts"] == {'k:{"name":"q"}': {".": {}, "f:name": {}}}
    conflict = api.apply(path, widgets.new("a", spec={"size": 1, "parts": [{"name": "p", "count": 2}]}), "two")
    assert conflict.fails(409, "Conflict") == (
        'Apply failed with 1 conflict: conflict with "one": .spec.parts[name="p"].count'
    )
    left = api.apply(path, widgets.new("a", spec={"size": 1}), "one").ok()
    assert left["spec"]["parts"] == [{"name": "q"}]
    assert left["spec"]["tags"] == ["x", "y"]


def test_the_status_is_owned_apart(api: Api, ns: str, widgets: Path) -> None:
    path = widgets(ns, "a")
    api.apply(path, widgets.new("a", spec={"size": 1}, status={"phase": "Lost"})).ok()
    after = api.apply(f"{path}/status", widgets.new("a", spec={"size": 2}, status={"phase": "Up"}), "two").ok()
    assert (after["spec"]["size"], after["status"]) == (1, {"phase": "Up"})
    assert managers(after)[("two", "Apply", "status")] == {"f:status": {"f:phase": {}}}
    again = api.apply(path, widgets.new("a", spec={"size": 2})).ok()
    assert again["status"] == {"phase": "Up"}


def test_apply_with_a_version_is_checked(api: Api, maps: str) -> None:
    first = api.apply(f"{maps}/a", config_map("a", {"k": "1"})).version
    api.patch(f"{maps}/a", {"data": {"l": "1"}}).ok()
    assert api.apply(f"{maps}/a", config_map("a", {"k": "2"}, resourceVersion=first)).fails(409, "Conflict")
    missing = api.apply(f"{maps}/b", config_map("b", uid="11111111-2222-3333-4444-555555555555"))
    assert missing.fails(409, "Conflict") == (
        'Operation cannot be fulfilled on configmaps "b": uid mismatch: the provided object specified uid '
        "11111111-2222-3333-4444-555555555555, and no existing object was found"
    )


def test_apply_is_yaml(api: Api, maps: str) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: |\n    two\n    lines\n"
    reply = api.patch(f"{maps}/a", body, "application/apply-patch+yaml", fieldManager="one")
    assert reply.ok()["data"] == {"k": "two\nlines\n"}


def test_apply_checks_fields(api: Api, maps: str) -> None:
    body = config_map("a", {"k": "1"}) | {"datta": {}}
    strict = api.apply(f"{maps}/a", body, fieldValidation="Strict")
    assert strict.status in (400, 500)
    assert "datta" in strict.message
