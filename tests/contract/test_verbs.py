"""Create, read, replace, and what is answered when it cannot be done."""

from __future__ import annotations

import pytest

from .objects import Path, config_map
from .rest import Api, Object


def test_an_object_comes_back_with_what_the_server_adds(api: Api, maps: str, ns: str) -> None:
    reply = api.post(maps, config_map("a", {"k": "1"}), fieldManager="me")
    assert reply.status == 201
    created = reply.ok()
    metadata = created["metadata"]
    assert (created["kind"], created["apiVersion"], created["data"]) == ("ConfigMap", "v1", {"k": "1"})
    assert (metadata["name"], metadata["namespace"]) == ("a", ns)
    assert metadata["uid"].count("-") == 4
    assert int(metadata["resourceVersion"]) > 0
    assert metadata["creationTimestamp"].endswith("Z")
    (entry,) = metadata["managedFields"]
    assert (entry["manager"], entry["operation"], entry["fieldsType"]) == ("me", "Update", "FieldsV1")
    assert entry["fieldsV1"] == {"f:data": {".": {}, "f:k": {}}}
    assert api.get(f"{maps}/a").ok() == created


def test_the_manager_is_the_user_agent_when_none_is_named(api: Api, maps: str) -> None:
    created = api.post(maps, config_map("a", {"k": "1"})).ok()
    assert [entry["manager"] for entry in created["metadata"]["managedFields"]] == ["contract"]


def test_kind_and_namespace_may_be_left_to_the_path(api: Api, maps: str, ns: str) -> None:
    created = api.post(maps, {"metadata": {"name": "a"}}).ok()
    assert (created["kind"], created["metadata"]["namespace"]) == ("ConfigMap", ns)


def test_generated_names_are_different_and_keep_their_prefix(api: Api, maps: str) -> None:
    made = [api.post(maps, {"metadata": {"generateName": "job-"}}).ok()["metadata"] for _ in range(3)]
    assert len({metadata["name"] for metadata in made}) == 3
    for metadata in made:
        assert metadata["name"].startswith("job-")
        assert len(metadata["name"]) == len("job-") + 5
        assert metadata["generateName"] == "job-"


def test_a_long_prefix_is_cut(api: Api, maps: str) -> None:
    name = api.post(maps, {"metadata": {"generateName": "p" * 70}}).ok()["metadata"]["name"]
    assert len(name) == 63


def test_what_is_there_already_is_a_conflict(api: Api, maps: str, a_map: Object) -> None:
    reply = api.post(maps, config_map("a"))
    assert reply.fails(409, "AlreadyExists") == 'configmaps "a" already exists'
    assert reply.json["details"] == {"name": "a", "kind": "configmaps"}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_missing_is_named(api: Api, maps: str, method: str) -> None:
    reply = api(method, f"{maps}/b")
    assert reply.fails(404, "NotFound") == 'configmaps "b" not found'
    assert reply.json["details"] == {"name": "b", "kind": "configmaps"}
    assert reply.json["metadata"] == {}


def test_a_group_is_part_of_the_sentence(api: Api, ns: str) -> None:
    reply = api.get(f"/apis/apps/v1/namespaces/{ns}/deployments/b")
    assert reply.fails(404, "NotFound") == 'deployments.apps "b" not found'
    assert reply.json["details"] == {"name": "b", "group": "apps", "kind": "deployments"}


def test_patching_and_replacing_what_is_missing(api: Api, maps: str) -> None:
    assert api.patch(f"{maps}/b", {"data": {}}).fails(404, "NotFound") == 'configmaps "b" not found'
    assert api.put(f"{maps}/b", config_map("b")).fails(404, "NotFound") == 'configmaps "b" not found'


@pytest.mark.parametrize("path", ["/apis/none.example.org/v1/things", "/api/v1/things", "/apis/apps/v7/deployments"])
def test_what_is_not_served(api: Api, path: str) -> None:
    reply = api.get(path)
    assert reply.status == 404
    assert (
        b"404 page not found" in reply.body
        or reply.fails(404, "NotFound") == "the server could not find the requested resource"
    )


def test_a_method_that_the_resource_does_not_have(api: Api, maps: str) -> None:
    reply = api.put(maps, config_map("a"))
    assert reply.fails(405, "MethodNotAllowed") == "the server does not allow this method on the requested resource"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Upper", "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters"),
        ("under_score", "a lowercase RFC 1123 subdomain"),
        ("a" * 254, "must be no more than 253"),
    ],
)
def test_names_are_checked(api: Api, maps: str, name: str, says: str) -> None:
    reply = api.post(maps, config_map(name))
    message = reply.fails(422, "Invalid")
    assert message.startswith(f'ConfigMap "{name}" is invalid: metadata.name: Invalid value: ')
    assert says in message
    details = reply.json["details"]
    assert (details["name"], details["kind"]) == (name, "ConfigMap")
    assert details["causes"][0]["reason"] == "FieldValueInvalid"
    assert details["causes"][0]["field"] == "metadata.name"


def test_a_name_is_required(api: Api, maps: str) -> None:
    message = api.post(maps, {"data": {}}).fails(422, "Invalid")
    assert "metadata.name: Required value: name or generateName is required" in message


def test_labels_and_annotations_are_checked(api: Api, maps: str) -> None:
    message = api.post(maps, config_map("a", labels={"a b": "c", "ok": "-"})).fails(422, "Invalid")
    assert "metadata.labels: Invalid value: " in message
    message = api.post(maps, config_map("a", annotations={"a b": "c"})).fails(422, "Invalid")
    assert "metadata.annotations: Invalid value: " in message


def test_the_namespace_of_body_and_path_must_agree(api: Api, maps: str, ns: str) -> None:
    message = api.post(maps, config_map("a", namespace="elsewhere")).fails(400, "BadRequest")
    assert message == "the namespace of the provided object does not match the namespace sent on the request"


def test_the_name_of_body_and_path_must_agree(api: Api, maps: str, a_map: Object) -> None:
    message = api.put(f"{maps}/a", config_map("b")).fails(400, "BadRequest")
    assert message == "the name of the object (b) does not match the name on the URL (a)"


def test_a_namespace_must_exist(api: Api) -> None:
    message = api.post("/api/v1/namespaces/nowhere-at-all/configmaps", config_map("a")).fails(404, "NotFound")
    assert message == 'namespaces "nowhere-at-all" not found'


def test_bodies_that_are_not_objects(api: Api, maps: str) -> None:
    assert api.post(maps, b"{").status == 400
    assert api.post(maps, b"[]").status == 400
    assert api.post(maps, config_map("a") | {"kind": "Secret"}).status == 400
    assert api.post(maps, config_map("a"), type="text/plain").fails(415, "UnsupportedMediaType")


def test_yaml_is_a_body_too(api: Api, maps: str) -> None:
    reply = api.post(maps, b"metadata: {name: a}\ndata: {k: 'yes'}\n", type="application/yaml")
    assert reply.ok()["data"] == {"k": "yes"}


def test_a_replacement_replaces_and_keeps_identity(api: Api, maps: str, a_map: Object) -> None:
    after = api.put(f"{maps}/a", config_map("a", {"other": "2"}, labels={"l": "1"})).ok()
    assert after["data"] == {"other": "2"}
    assert after["metadata"]["uid"] == a_map["metadata"]["uid"]
    assert after["metadata"]["creationTimestamp"] == a_map["metadata"]["creationTimestamp"]
    assert int(after["metadata"]["resourceVersion"]) > int(a_map["metadata"]["resourceVersion"])


def test_an_old_version_is_refused(api: Api, maps: str, a_map: Object) -> None:
    api.patch(f"{maps}/a", {"data": {"k": "2"}}).ok()
    reply = api.put(f"{maps}/a", a_map)
    assert reply.fails(409, "Conflict") == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert reply.json["details"] == {"name": "a", "kind": "configmaps"}
    stale = {"metadata": {"resourceVersion": a_map["metadata"]["resourceVersion"]}, "data": {"k": "3"}}
    assert api.patch(f"{maps}/a", stale).fails(409, "Conflict")
    assert api.get(f"{maps}/a").ok()["data"] == {"k": "2"}


def test_another_uid_is_refused(api: Api, maps: str, a_map: Object) -> None:
    other = config_map("a", {}, uid="11111111-2222-3333-4444-555555555555")
    assert "Precondition failed: UID in precondition: 11111111" in api.put(f"{maps}/a", other).fails(409, "Conflict")


def test_custom_resources_need_a_version_to_be_replaced(api: Api, ns: str, widgets: Path) -> None:
    api.post(widgets(ns), widgets.new("a", spec={"size": 1})).ok()
    message = api.put(widgets(ns, "a"), widgets.new("a", spec={"size": 1})).fails(422, "Invalid")
    assert "metadata.resourceVersion: Invalid value: " in message
    assert "must be specified for an update" in message


def test_writes_without_effect_keep_the_version(api: Api, maps: str, a_map: Object) -> None:
    version = a_map["metadata"]["resourceVersion"]
    assert api.put(f"{maps}/a", a_map).version == version
    assert api.patch(f"{maps}/a", {"data": {"k": "1"}}).version == version
    assert api.patch(f"{maps}/a", {}).version == version
    body = config_map("a", {"k": "1"})
    applied = api.apply(f"{maps}/a", body, force="true").version
    assert api.apply(f"{maps}/a", body).version == applied


def test_the_server_keeps_its_metadata(api: Api, maps: str, a_map: Object) -> None:
    sent = {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7, "selfLink": "/x"}}
    after = api.patch(f"{maps}/a", sent).ok()["metadata"]
    assert after["creationTimestamp"] == a_map["metadata"]["creationTimestamp"]
    assert after["uid"] == a_map["metadata"]["uid"]


def test_a_dry_run_answers_and_changes_nothing(api: Api, maps: str, a_map: Object) -> None:
    assert api.post(maps, config_map("b"), dryRun="All").status == 201
    assert api.get(f"{maps}/b").status == 404
    assert api.post(maps, config_map("a"), dryRun="All").fails(409, "AlreadyExists")
    assert api.patch(f"{maps}/a", {"data": {"k": "2"}}, dryRun="All").ok()["data"] == {"k": "2"}
    assert api.put(f"{maps}/a", config_map("a", {"x": "2"}), dryRun="All").ok()["data"] == {"x": "2"}
    assert api.apply(f"{maps}/c", config_map("c", {"x": "2"}), dryRun="All").status == 201
    assert api.get(f"{maps}/c").status == 404
    assert api.delete(f"{maps}/a", dryRun="All").status == 200
    assert api.get(f"{maps}/a").ok() == a_map
    message = api.post(maps, config_map("b"), dryRun="Some").fails(422, "Invalid")
    assert message == (
        'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"'
    )


def test_immutable_maps_stay_as_they_are(api: Api, maps: str) -> None:
    api.post(maps, config_map("a", {"k": "1"}) | {"immutable": True}).ok()
    message = api.patch(f"{maps}/a", {"data": {"k": "2"}}).fails(422, "Invalid")
    assert message == 'ConfigMap "a" is invalid: data: Forbidden: field is immutable when `immutable` is set'
    assert api.patch(f"{maps}/a", {"metadata": {"labels": {"l": "1"}}}).status == 200


def test_unknown_fields(api: Api, maps: str) -> None:
    body = config_map("a", {"k": "1"}) | {"datta": {"k": "2"}}
    strict = api.post(maps, body, fieldValidation="Strict").fails(400, "BadRequest")
    assert (
        strict
        == 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "datta"'
    )
    warned = api.post(maps, body, fieldValidation="Warn", dryRun="All")
    assert warned.warnings == ['unknown field "datta"']
    assert "datta" not in warned.ok()
    ignored = api.post(maps, body, fieldValidation="Ignore")
    assert ignored.warnings == []
    assert "datta" not in ignored.ok()
    assert api.post(maps, body, fieldValidation="Maybe").status == 422


def test_fields_given_twice(api: Api, maps: str) -> None:
    body = b'{"metadata":{"name":"a"},"data":{"k":"1","k":"2"}}'
    assert 'duplicate field "data.k"' in api.post(maps, body, fieldValidation="Strict").fails(400, "BadRequest")


def test_a_wrong_type_is_a_bad_request(api: Api, maps: str) -> None:
    assert api.post(maps, config_map("a") | {"data": {"k": 1}}).fails(400, "BadRequest")
