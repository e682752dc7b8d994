"""Schemas of the built-in kinds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from continuo.embedded.machinery.builtin import GROUPS, definitions, openapi_name, schema_for
from continuo.embedded.machinery.schema import validate
from continuo.resources import kinds
from continuo.resources.meta import Kind

BUILTIN = [kind for kind in vars(kinds).values() if isinstance(kind, Kind) and kind.group in GROUPS]


@pytest.mark.parametrize("kind", BUILTIN, ids=lambda kind: kind.resource)
def test_every_builtin_kind_that_we_speak_to_has_a_schema(kind: Kind) -> None:
    schema = schema_for(kind.group, kind.version, kind.kind)
    assert schema is not None
    known = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    assert schema["x-kubernetes-group-version-kind"] == [known]
    assert schema_for(kind.group, kind.version, kind.kind) is schema


def test_unknown_kinds_have_none() -> None:
    assert schema_for("", "v1", "Nope") is None
    assert schema_for("t.dev", "v1", "Pod") is None
    assert schema_for("apps", "v9", "Deployment") is None
    assert definitions("t.dev", "v1") == {}


@pytest.mark.parametrize("group", GROUPS)
def test_documents_are_complete(group: str) -> None:
    """Whatever a component refers to is there."""
    for version in ("v1", "v2"):
        components = definitions(group, version)
        refs = {part.split('"')[0] for part in json.dumps(components).split('"#/components/schemas/')[1:]}
        assert refs <= components.keys()


def at(schema: dict[str, Any] | None, *path: str) -> dict[str, Any]:
    assert schema is not None
    for name in path:
        schema = schema["items"] if name == "[]" else schema["properties"][name]
    return schema


def test_what_merging_needs_is_known() -> None:
    containers = at(schema_for("apps", "v1", "Deployment"), "spec", "template", "spec", "containers")
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    ports = at(containers, "[]", "ports")
    assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
    assert at(ports, "[]", "protocol")["default"] == "TCP"
    metadata = at(schema_for("", "v1", "Pod"), "metadata")
    assert at(metadata, "finalizers")["x-kubernetes-list-type"] == "set"
    assert at(schema_for("", "v1", "Service"), "spec", "selector")["x-kubernetes-map-type"] == "atomic"


def test_descriptions_come_along() -> None:
    name = openapi_name("apps_v1.DeploymentSpec")
    assert name == "io.k8s.api.apps.v1.DeploymentSpec"
    field = definitions("apps", "v1")[name]["properties"]["replicas"]
    assert field["description"].startswith("Number of desired pods.")
    assert (field["type"], field["format"]) == ("integer", "int32")


def test_objects_are_validated() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "creationTimestamp": None},
        "spec": {"containers": [{"image": "i", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}]},
    }
    messages = [
        error.message() for error in validate(schema_for("", "v1", "Pod") or {}, {**pod, "metadata": {"name": "p"}})
    ]
    assert messages == ["spec.containers[0].name: Required value"]
