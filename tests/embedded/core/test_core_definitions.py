"""CustomResourceDefinitions from creation to removal, and the objects they define."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from continuo.embedded.api import ClusterApi
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.port import StoredChange, Write
from continuo.resources.errors import BadRequest, Invalid, MethodNotAllowed, NotFound
from continuo.resources.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from continuo.resources.meta import Kind, Object, condition, is_true

Define = Callable[..., Object]


@pytest.fixture
def defined(api: ClusterApi, definition: Define) -> ClusterApi:
    api.create(definition())
    return api


def test_a_definition_is_established_at_once(defined: ClusterApi, widget: Kind) -> None:
    made = defined.get(CRD, "widgets.example.dev")
    assert is_true(made, "NamesAccepted") and is_true(made, "Established")
    assert made["status"]["storedVersions"] == ["v1"]
    assert made["spec"]["names"]["listKind"] == "WidgetList" and made["spec"]["names"]["singular"] == "widget"
    served = defined.resource("example.dev", "v2", "widgets")
    assert served.status and not served.builtin and served.kind.short_names == ("wd",)
    assert {t.kind.version for t in defined.resources() if t.kind.plural == "widgets"} == {"v1", "v2"}
    assert defined.subresources(widget) == ("status", "scale")


def test_versions_share_one_store(defined: ClusterApi, widget: Kind, widget_v2: Kind) -> None:
    changes: list[StoredChange] = []
    defined.listen(widget_v2, changes.append)
    made = defined.create(widget_v2.new("w", "default", spec={"size": 1}))
    assert made["apiVersion"] == "example.dev/v2"
    assert defined.get(widget, "w", "default")["apiVersion"] == "example.dev/v1"
    assert defined.list(widget_v2)[0]["apiVersion"] == "example.dev/v2"
    assert changes[0].object["apiVersion"] == "example.dev/v2"
    told = list(defined.changes(changes[0].version - 1, widget))
    assert [change.object["apiVersion"] for change in told] == ["example.dev/v1"]


def test_pruning_defaults_and_rules(defined: ClusterApi, widget: Kind) -> None:
    made = defined.create(widget.new("w", "default", spec={"size": 1, "other": 2, "fixed": "a"}))
    assert made["spec"] == {"size": 1, "color": "red", "fixed": "a"}
    for spec, words in (
        ({"size": 100}, "size must be below 100"),
        ({"size": -1}, "spec.size: Invalid value: -1"),
        ({"size": "x"}, "must be of type integer"),
        ({}, "spec.size: Required value"),
    ):
        with pytest.raises(Invalid, match=words) as caught:
            defined.create(widget.new("v", "default", spec=spec))
        assert str(caught.value).startswith('Widget.example.dev "v" is invalid: ')
        assert caught.value.details["causes"][0]["field"].startswith("spec")
    with pytest.raises(Invalid, match=r"fixed cannot be changed"):
        defined.patch(widget, "w", "default", "merge", {"spec": {"fixed": "b"}})


def test_trusted_writers_skip_the_schema(defined: ClusterApi, widget: Kind) -> None:
    made = defined.create(widget.new("w", "default", spec={"size": 500}), Write(manager="standin", trusted=True))
    assert made["spec"] == {"size": 500}


def test_a_new_schema_takes_effect(defined: ClusterApi, definition: Define, schema: Define, widget: Kind) -> None:
    defined.create(widget.new("w", "default", spec={"size": 1}))
    defined.update(definition(schema(weight={"type": "integer", "default": 7})))
    made = defined.patch(widget, "w", "default", "merge", {"spec": {"size": 2}})
    assert made["spec"]["weight"] == 7


def test_a_version_can_go_and_come(defined: ClusterApi, definition: Define, widget: Kind, widget_v2: Kind) -> None:
    defined.create(widget_v2.new("w", "default", spec={"size": 1}))
    fewer = definition()
    fewer["spec"]["versions"][1]["served"] = False
    defined.update(fewer)
    with pytest.raises(NotFound, match=r"could not find the requested resource"):
        defined.list(widget_v2)
    moved = definition()
    moved["spec"]["versions"][0]["storage"], moved["spec"]["versions"][1]["storage"] = False, True
    made = defined.update(moved)
    assert made["status"]["storedVersions"] == ["v1", "v2"]
    assert defined.get(widget_v2, "w", "default")["spec"]["size"] == 1
    assert defined.patch(widget, "w", "default", "merge", {"spec": {"size": 2}})["apiVersion"] == "example.dev/v1"
    with pytest.raises(Invalid, match=r'status.storedVersions\[0\]: Invalid value: "v1": must appear in spec.versions'):
        gone = copy.deepcopy(moved)
        del gone["spec"]["versions"][0]
        defined.update(gone)


def _without(path: str) -> Callable[[Object], None]:
    def change(crd: Object) -> None:
        *parents, last = path.split(".")
        for name in parents:
            crd = crd[name]
        del crd[last]

    return change


def _version(index: int, **fields: Any) -> Callable[[Object], None]:
    return lambda crd: crd["spec"]["versions"][index].update(fields)


def _properties(properties: Object, **more: Any) -> Callable[[Object], None]:
    return _version(0, schema={"openAPIV3Schema": {"type": "object", "properties": properties, **more}})


def _rule(rule: str) -> Callable[[Object], None]:
    return _properties({"spec": {"type": "object", "x-kubernetes-validations": [{"rule": rule}]}})


def _everywhere(schema: Object) -> Callable[[Object], None]:
    def change(crd: Object) -> None:
        for version in crd["spec"]["versions"]:
            version["schema"] = {"openAPIV3Schema": schema}

    return change


WRONG: list[tuple[str, Callable[[Object], Any], str]] = [
    ("name", lambda crd: crd["metadata"].update(name="x.example.dev"),
     'metadata.name: Invalid value: "x.example.dev": must be spec.names.plural+"."+spec.group'),
    ("no group", _without("spec.group"), "spec.group: Required value"),
    ("no scope", _without("spec.scope"), "spec.scope: Required value"),
    ("scope", lambda crd: crd["spec"].update(scope="Universe"),
     'spec.scope: Unsupported value: "Universe": supported values: "Cluster", "Namespaced"'),
    ("no kind", _without("spec.names.kind"), "spec.names.kind: Required value"),
    ("no versions", _without("spec.versions"), "spec.versions: Required value"),
    ("two storage versions", _version(1, storage=True), "must have exactly one version marked as storage version"),
    ("no storage version", _version(0, storage=False), "must have exactly one version marked as storage version"),
    ("same version twice", _version(1, name="v1"), "must contain unique version names"),
    ("no schema", lambda crd: crd["spec"]["versions"][0].pop("schema"),
     "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"),
    ("schema without type", _properties({"spec": {}}),
     "spec.versions[0].schema.openAPIV3Schema.properties[spec].type: Required value"),
    ("same wrong schema everywhere", _everywhere({"type": "object", "properties": {"spec": {}}}),
     "invalid: spec.validation.openAPIV3Schema.properties[spec].type: Required value"),
    ("rule that does not compile", _rule("self.a <"),
     "compilation failed"),
    ("rule on an unknown field", _rule("self.nope == 1"),
     "x-kubernetes-validations[0].rule: Invalid value"),
    ("webhook conversion", lambda crd: crd["spec"].update(conversion={"strategy": "Webhook"}),
     'spec.conversion.strategy: Unsupported value: "Webhook"'),
    ("column", _version(0, additionalPrinterColumns=[{"name": "A", "type": "text", "jsonPath": ".a"}]),
     'spec.versions[0].additionalPrinterColumns[0].type: Unsupported value: "text"'),
    ("scale", _version(0, subresources={"scale": {"specReplicasPath": ".spec.size"}}),
     "spec.versions[0].subresources.scale.statusReplicasPath: Required value"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_invalid_definitions(api: ClusterApi, definition: Define, change: Callable[[Object], Any], words: str) -> None:
    crd = copy.deepcopy(definition())
    change(crd)
    with pytest.raises(Invalid) as caught:
        api.create(crd)
    assert words in str(caught.value)
    with pytest.raises(NotFound):
        api.resource("example.dev", "v1", "widgets")


def test_names_that_are_taken_wait(engine: EmbeddedEngine, hands: Any, definition: Define, widget: Kind) -> None:
    api = engine.create_cluster("green")
    engine.start()
    api.create(definition())
    rival = definition(names={"plural": "gadgets", "kind": "Widget", "shortNames": ["gd"]})
    rival["metadata"]["name"] = "gadgets.example.dev"
    made = api.create(rival)
    accepted = condition(made, "NamesAccepted")
    assert accepted is not None and accepted["status"] == "False" and accepted["reason"] == "KindConflict"
    with pytest.raises(NotFound):
        api.resource("example.dev", "v1", "gadgets")
    api.delete(CRD, "widgets.example.dev")
    hands.settle()
    assert is_true(api.get(CRD, "gadgets.example.dev"), "Established")
    assert api.resource("example.dev", "v1", "gadgets").kind.kind == "Widget"


def test_immutable_fields(defined: ClusterApi, definition: Define) -> None:
    with pytest.raises(Invalid, match=r'spec.scope: Invalid value: "Cluster": field is immutable'):
        defined.update(definition(scope="Cluster"))


def test_deletion_takes_the_objects_along(engine: EmbeddedEngine, hands: Any, definition: Define, widget: Kind) -> None:
    api = engine.create_cluster("green")
    engine.start()
    api.create(definition())
    for number in range(250):
        api.create(widget.new(f"w{number}", "default", spec={"size": 1}))
    api.create(widget.new("held", "default", spec={"size": 1}, metadata={"finalizers": ["a.dev/b"]}))
    marked = api.delete(CRD, "widgets.example.dev")
    assert marked["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    with pytest.raises(MethodNotAllowed, match=r"custom resource definition is terminating"):
        api.create(widget.new("late", "default", spec={"size": 1}))
    hands.settle()
    assert [obj["metadata"]["name"] for obj in api.list(widget)] == ["held"]
    api.patch(widget, "held", "default", "merge", {"metadata": {"finalizers": None}})
    hands.settle()
    assert api.find(CRD, "widgets.example.dev") is None
    with pytest.raises(NotFound):
        api.list(widget)
    with pytest.raises(BadRequest, match=r'no matches for kind "Widget"'):
        api.create(widget.new("w", "default"))
    api.create(definition())
    assert api.list(widget) == []
