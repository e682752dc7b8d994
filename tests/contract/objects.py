"""Objects that the suite works with."""

from __future__ import annotations

from typing import Any

from .rest import Object

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Path:
    """Where the widgets of one group are."""

    def __init__(self, group: str, version: str = "v1", plural: str = "widgets") -> None:
        self.group, self.version, self.plural = group, version, plural

    def __call__(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        parts = [f"/apis/{self.group}/{self.version}"]
        parts += [f"namespaces/{namespace}"] if namespace else []
        return "/".join([*parts, self.plural, *filter(None, (name, subresource))])

    def new(self, name: str, **fields: Any) -> Object:
        return {"apiVersion": f"{self.group}/{self.version}", "kind": "Widget", "metadata": {"name": name}, **fields}


def config_map(name: str, data: dict[str, str] | None = None, **metadata: Any) -> Object:
    body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return body if data is None else {**body, "data": data}


def secret(name: str, data: dict[str, str] | None = None, **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}, "stringData": data or {}}


def deployment(name: str, replicas: int = 0, **spec: Any) -> Object:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "example.org/app:1"}]},
    }
    full = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": full}


def owned_by(owner: Object, *, api_version: str = "v1", kind: str = "ConfigMap", **more: Any) -> list[Object]:
    metadata = owner["metadata"]
    return [{"apiVersion": api_version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"], **more}]


SPEC_SCHEMA: Object = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 0, "maximum": 10},
        "replicas": {"type": "integer", "default": 1},
        "color": {"type": "string", "enum": ["red", "green"], "default": "red"},
        "name": {
            "type": "string", "pattern": "^[a-z]+$", "maxLength": 8,
            "x-kubernetes-validations": [
                {"rule": "self != 'taken'", "messageExpression": "'the name ' + self + ' is gone'",
                 "reason": "FieldValueForbidden"},
            ],
        },
        "fixed": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "is immutable"}]},
        "parts": {
            "type": "array", "maxItems": 4,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object", "required": ["name"],
                "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
            },
        },
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "either": {"x-kubernetes-int-or-string": True},
        "when": {"type": "string", "format": "date-time"},
        "maybe": {"type": "string", "nullable": True},
        "low": {"type": "integer"},
        "high": {"type": "integer"},
    },
    "x-kubernetes-validations": [
        {"rule": "!has(self.low) || !has(self.high) || self.low <= self.high",
         "message": "low must not be above high"},
        {"rule": "self.size >= oldSelf.size", "message": "size may not shrink"},
    ],
}  # fmt: skip


def definition(group: str, **spec: Any) -> Object:
    """Widgets: every kind of rule, status, scale and printer columns."""
    status = {
        "type": "object",
        "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}, "phase": {"type": "string"}},
    }
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": SPEC_SCHEMA, "status": status}}
    version = {
        "name": "v1", "served": True, "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "description": "How big."},
            {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
            {"name": "Color", "type": "string", "jsonPath": ".spec.color", "priority": 1},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "selectableFields": [{"jsonPath": ".spec.color"}],
    }  # fmt: skip
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version], **spec},
    }
