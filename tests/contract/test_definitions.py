"""CustomResourceDefinitions: what they refuse, default, prune and show."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import established, served_soon, unique
from .objects import CRDS, Path, definition
from .rest import MERGE, TABLE, Api, Object


def test_a_definition_becomes_established(api: Api, widgets: Path) -> None:
    found = api.get(f"{CRDS}/widgets.{widgets.group}").ok()
    conditions = {item["type"]: (item["status"], item["reason"]) for item in found["status"]["conditions"]}
    assert conditions == {"NamesAccepted": ("True", "NoConflicts"), "Established": ("True", "InitialNamesAccepted")}
    assert found["status"]["storedVersions"] == ["v1"]
    assert found["status"]["acceptedNames"]["kind"] == "Widget"
    assert found["spec"]["conversion"] == {"strategy": "None"}


def test_defaults_are_stored(api: Api, ns: str, widgets: Path) -> None:
    created = api.post(widgets(ns), widgets.new("a", spec={"size": 1})).ok()
    assert created["spec"] == {"size": 1, "replicas": 1, "color": "red"}
    assert created["metadata"]["generation"] == 1


def test_unknown_fields_are_pruned(api: Api, ns: str, widgets: Path) -> None:
    spec = {"size": 1, "sise": 2, "free": {"any": {"thing": 1}}, "parts": [{"name": "p", "x": 1}]}
    reply = api.post(widgets(ns), widgets.new("a", spec=spec, top=1))
    assert sorted(reply.warnings) == [
        'unknown field "spec.parts[0].x"',
        'unknown field "spec.sise"',
        'unknown field "top"',
    ]
    created = reply.ok()
    assert "top" not in created
    assert created["spec"]["free"] == {"any": {"thing": 1}}
    assert created["spec"]["parts"] == [{"name": "p"}]
    assert "sise" not in created["spec"]


def test_unknown_fields_are_refused_when_asked(api: Api, ns: str, widgets: Path) -> None:
    body = widgets.new("a", spec={"size": 1, "sise": 2, "parts": [{"name": "p", "x": 1}]})
    message = api.post(widgets(ns), body, fieldValidation="Strict").fails(400, "BadRequest")
    assert message == (
        'Widget in version "v1" cannot be handled as a Widget: strict decoding error: '
        'unknown field "spec.parts[0].x", unknown field "spec.sise"'
    )


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({}, "spec.size", "Required value"),
        ({"size": "1"}, "spec.size", 'Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"size": 1.5}, "spec.size", 'Invalid value: "number": spec.size in body must be of type integer: "number"'),
        ({"size": 11}, "spec.size", "Invalid value: 11: spec.size in body should be less than or equal to 10"),
        ({"size": -1}, "spec.size", "Invalid value: -1: spec.size in body should be greater than or equal to 0"),
        ({"size": None}, "spec.size", "Required value"),
        ({"size": 1, "color": "blue"}, "spec.color", 'Unsupported value: "blue": supported values: "red", "green"'),
        ({"size": 1, "name": "A"}, "spec.name", "Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"),
        ({"size": 1, "name": "abcdefghi"}, "spec.name", "Too long: may not be more than 8 bytes"),
        ({"size": 1, "name": "taken"}, "spec.name", "Forbidden: the name taken is gone"),
        ({"size": 1, "low": 2, "high": 1}, "spec", 'Invalid value: low must not be above high'),
        ({"size": 1, "parts": [{"name": "a"}, {"name": "a"}]}, "spec.parts[1]", 'Duplicate value: {"name":"a"}'),
        ({"size": 1, "parts": [{"count": 1}]}, "spec.parts[0].name", "Required value"),
        ({"size": 1, "parts": [{"name": c} for c in "abcde"]}, "spec.parts", "Too many: 5: must have at most 4 items"),
        ({"size": 1, "tags": ["x", "x"]}, "spec.tags[1]", 'Duplicate value: "x"'),
        ({"size": 1, "either": 1.5}, "spec.either", "must be of type integer"),
        ({"size": 1, "when": "today"}, "spec.when", "must be of type date-time"),
        ({"size": 1, "tags": "x"}, "spec.tags", "must be of type array"),
    ],
)  # fmt: skip
def test_each_rule_has_its_sentence(api: Api, ns: str, widgets: Path, spec: Object, field: str, says: str) -> None:
    reply = api.post(widgets(ns), widgets.new("a", spec=spec))
    message = reply.fails(422, "Invalid")
    assert message.startswith(f'Widget.{widgets.group} "a" is invalid: ')
    causes = {cause["field"]: cause["message"] for cause in reply.json["details"]["causes"]}
    assert says in causes[field], message


def test_all_problems_are_told_at_once(api: Api, ns: str, widgets: Path) -> None:
    reply = api.post(widgets(ns), widgets.new("a", spec={"size": 11, "color": "blue", "name": "A"}))
    message = reply.fails(422, "Invalid")
    assert message.startswith(f'Widget.{widgets.group} "a" is invalid: [')
    assert {cause["field"] for cause in reply.json["details"]["causes"]} >= {"spec.size", "spec.color", "spec.name"}


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ({"size": 1, "fixed": "x"}, {"size": 1, "fixed": "y"}, "spec.fixed: Invalid value: "),
        ({"size": 2}, {"size": 1}, "size may not shrink"),
    ],
)
def test_transitions(api: Api, ns: str, widgets: Path, before: Object, after: Object, says: str) -> None:
    api.post(widgets(ns), widgets.new("a", spec=before)).ok()
    assert says in api.patch(widgets(ns, "a"), {"spec": after}, MERGE).fails(422, "Invalid")
    assert api.patch(widgets(ns, "a"), {"spec": {"color": "green"}}, MERGE).status == 200


def test_nullable_and_null(api: Api, ns: str, widgets: Path) -> None:
    created = api.post(widgets(ns), widgets.new("a", spec={"size": 1, "maybe": None, "color": None})).ok()
    assert created["spec"] == {"size": 1, "maybe": None, "color": "red", "replicas": 1}


def test_generation_counts_changes_of_the_specification(api: Api, ns: str, widgets: Path) -> None:
    api.post(widgets(ns), widgets.new("a", spec={"size": 1})).ok()

    def generation(body: Object, sub: str = "") -> int:
        return int(api.patch(widgets(ns, "a", sub), body).ok()["metadata"]["generation"])

    assert generation({"metadata": {"labels": {"a": "b"}}}) == 1
    assert generation({"status": {"phase": "Up"}}, "status") == 1
    assert generation({"spec": {"size": 1}}) == 1
    assert generation({"spec": {"size": 2}}) == 2
    assert generation({"metadata": {"generation": 9}}) == 2


def test_the_status_is_written_apart(api: Api, ns: str, widgets: Path) -> None:
    created = api.post(widgets(ns), widgets.new("a", spec={"size": 1}, status={"phase": "Up"})).ok()
    assert "status" not in created
    after = api.put(widgets(ns, "a", "status"), {**created, "status": {"phase": "Up"}, "spec": {"size": 5}}).ok()
    assert (after["status"], after["spec"]["size"]) == ({"phase": "Up"}, 1)
    after = api.put(widgets(ns, "a"), {**after, "status": {"phase": "Down"}, "spec": {"size": 5}}).ok()
    assert (after["status"], after["spec"]["size"]) == ({"phase": "Up"}, 5)
    labelled = {**after, "metadata": {**after["metadata"], "labels": {"l": "1"}}}
    assert "labels" not in api.put(widgets(ns, "a", "status"), labelled).ok()["metadata"]
    assert api.get(widgets(ns, "a", "status")).ok()["status"] == {"phase": "Up"}
    message = api.patch(widgets(ns, "a", "status"), {"status": {"phase": 1}}).fails(422, "Invalid")
    assert "status.phase" in message


def test_scale(api: Api, ns: str, widgets: Path) -> None:
    api.post(widgets(ns), widgets.new("a", spec={"size": 1, "replicas": 2})).ok()
    api.patch(widgets(ns, "a", "status"), {"status": {"replicas": 1, "selector": "app=a"}}).ok()
    scale = api.get(widgets(ns, "a", "scale")).ok()
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 1, "selector": "app=a"})
    after = api.put(widgets(ns, "a", "scale"), {**scale, "spec": {"replicas": 5}}).ok()
    assert after["spec"] == {"replicas": 5}
    found = api.patch(widgets(ns, "a", "scale"), {"spec": {"replicas": 6}}).ok()
    assert found["spec"] == {"replicas": 6}
    owner = api.get(widgets(ns, "a")).ok()
    assert owner["spec"]["replicas"] == 6
    assert owner["metadata"]["generation"] == 3
    assert api.put(widgets(ns, "a", "scale"), {**found, "spec": {"replicas": -1}}).fails(422, "Invalid")


def test_printer_columns(api: Api, ns: str, widgets: Path) -> None:
    api.post(widgets(ns), widgets.new("a", spec={"size": 3})).ok()
    table = api.get(widgets(ns), accept=TABLE).ok()
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    columns = [(column["name"], column["type"], column["priority"]) for column in table["columnDefinitions"]]
    assert columns == [
        ("Name", "string", 0), ("Size", "integer", 0), ("Phase", "string", 0), ("Color", "string", 1), ("Age", "date", 0),
    ]  # fmt: skip
    (row,) = table["rows"]
    assert row["cells"][:4] == ["a", 3, None, "red"] or row["cells"][:4] == ["a", 3, "", "red"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == "a"
    whole = api.get(widgets(ns), accept=TABLE, includeObject="Object").ok()["rows"][0]["object"]
    assert whole["kind"] == "Widget"
    assert api.get(widgets(ns), accept=TABLE, includeObject="None").ok()["rows"][0].get("object") is None
    assert api.get(widgets(ns, "a"), accept=TABLE).ok()["rows"][0]["cells"][1] == 3


def _broken(change: Callable[[Object], Any]) -> Object:
    crd = copy.deepcopy(definition(f"{unique('m')}.example.org"))
    change(crd["spec"])
    return crd


def _root(spec: Object) -> Object:
    schema: Object = spec["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda spec: spec["names"].update(plural="others"), "metadata.name: Invalid value"),
        (lambda spec: spec.update(scope="Nowhere"), "spec.scope: Unsupported value"),
        (lambda spec: spec["versions"][0].update(storage=False), "must have exactly one version marked as storage version"),
        (lambda spec: spec["versions"][0].pop("schema"), "Required value"),
        (lambda spec: _root(spec)["properties"]["spec"].pop("type"), "must not be empty for specified"),
        (lambda spec: _root(spec)["properties"]["spec"]["properties"].update(x={"type": "map"}), "Unsupported value"),
        (
            lambda spec: _root(spec)["properties"]["spec"].update({"x-kubernetes-validations": [{"rule": "self.nope"}]}),
            "undefined field 'nope'",
        ),
        (
            lambda spec: _root(spec)["properties"]["spec"]["properties"].update(x={"type": "integer", "default": "one"}),
            "must be of type integer",
        ),
    ],
)  # fmt: skip
def test_definitions_that_are_wrong(api: Api, change: Callable[[Object], Any], says: str) -> None:
    message = api.post(CRDS, _broken(change), dryRun="All").fails(422, "Invalid")
    assert says in message


def test_two_versions_of_one_object(api: Api, ns: str, crd_owner: Callable[[Object], Object]) -> None:
    crd = definition(f"{unique('m')}.example.org")
    second = copy.deepcopy(crd["spec"]["versions"][0]) | {"name": "v2", "storage": False, "deprecated": True}
    second["deprecationWarning"] = "v2 is for tests only"
    crd["spec"]["versions"].append(second)
    crd_owner(crd)
    first, other = Path(crd["spec"]["group"]), Path(crd["spec"]["group"], "v2")
    served_soon(api, other(ns))
    api.post(first(ns), first.new("a", spec={"size": 1})).ok()
    reply = api.get(other(ns, "a"))
    assert reply.ok()["apiVersion"] == f"{other.group}/v2"
    assert reply.warnings == ["v2 is for tests only"]
    with api.watch(first(ns), resourceVersion=reply.version) as stream:
        api.patch(other(ns, "a"), {"spec": {"size": 2}}).ok()
        event = stream.next()
    assert event is not None
    assert event["object"]["apiVersion"] == f"{first.group}/v1"
    assert api.get(first(ns, "a")).ok()["spec"]["size"] == 2


def test_a_schema_can_change(api: Api, ns: str, crd_owner: Callable[[Object], Object]) -> None:
    crd = definition(f"{unique('m')}.example.org")
    crd_owner(crd)
    path = Path(crd["spec"]["group"])
    api.post(path(ns), path.new("a", spec={"size": 1})).ok()
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["more"] = {
        "type": "string"
    }
    api.patch(f"{CRDS}/widgets.{path.group}", {"spec": {"versions": crd["spec"]["versions"]}}).ok()
    for _ in range(100):
        after = api.patch(path(ns, "a"), {"spec": {"more": "x"}}).ok()
        if "more" in after["spec"]:
            break
    assert after["spec"]["more"] == "x"


def test_a_definition_goes_with_its_objects(api: Api, ns: str) -> None:
    crd = definition(f"{unique('m')}.example.org")
    api.post(CRDS, crd).ok()
    path = Path(crd["spec"]["group"])
    established(api, crd["metadata"]["name"])
    api.post(
        path(ns), path.new("a", spec={"size": 1}) | {"metadata": {"name": "a", "finalizers": ["example.org/a"]}}
    ).ok()
    api.delete(f"{CRDS}/{crd['metadata']['name']}").ok()
    waiting = api.get(f"{CRDS}/{crd['metadata']['name']}").ok()
    assert waiting["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    api.until(path(ns), "a", lambda found: found is None or found["metadata"].get("deletionTimestamp"))
    api.patch(path(ns, "a"), {"metadata": {"finalizers": None}})
    api.gone(CRDS, crd["metadata"]["name"])
    for _ in range(200):
        if api.get(path(ns)).status == 404:
            return
        time.sleep(0.05)
    raise AssertionError("a kind is served whose definition is gone")


def test_a_cluster_wide_kind(api: Api, crd_owner: Callable[[Object], Object], ns: str) -> None:
    crd = definition(f"{unique('m')}.example.org", scope="Cluster")
    crd_owner(crd)
    path = Path(crd["spec"]["group"])
    assert "namespace" not in api.post(path(), path.new("a", spec={"size": 1})).ok()["metadata"]
    assert api.get(path(ns, "a")).status == 404
    assert api.delete(path("", "a")).status == 200
