"""A small vocabulary for writing other projects' CustomResourceDefinitions down as data.

Objects keep the fields that are not written here (`x-kubernetes-preserve-unknown-fields`): the real definitions
have hundreds, and a client that sets one must read it back. What is written here is what clients and stand-ins use,
with the types, required fields and enums that the real ones enforce.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from continuo.resources.kinds import CUSTOM_RESOURCE_DEFINITION
from continuo.resources.meta import Kind, Object

Column = tuple[str, str, str] | tuple[str, str, str, int]
"""Name, type, JSON path and, for wide output only, a priority."""

AGE: Column = ("AGE", "date", ".metadata.creationTimestamp")
_DECIMAL = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"
PRESERVE = "x-kubernetes-preserve-unknown-fields"


def text(*choices: str, pattern: str | None = None, least: int | None = None, most: int | None = None) -> Object:
    """A string, of a few choices or of a form."""
    schema: Object = {"type": "string"}
    bounds = {"enum": list(choices) or None, "pattern": pattern, "minLength": least, "maxLength": most}
    return schema | {key: value for key, value in bounds.items() if value is not None}


def number(least: int | None = None, most: int | None = None, format: str = "int32") -> Object:
    """A whole number."""
    schema: Object = {"type": "integer", "format": format}
    bounds = {"minimum": least, "maximum": most}
    return schema | {key: value for key, value in bounds.items() if value is not None}


def flag() -> Object:
    """A truth value."""
    return {"type": "boolean"}


def time() -> Object:
    """A point in time."""
    return {"type": "string", "format": "date-time"}


def quantity() -> Object:
    """A quantity such as `500m`, `2` or `4Gi`."""
    return {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "pattern": rf"^[+-]?{_DECIMAL}([KMGTPE]i|[numkMGTPE]|[eE][+-]?{_DECIMAL})?$",
    }


def either() -> Object:
    """A number or a string."""
    return {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}


def obj(required: Sequence[str] = (), validations: Sequence[Object] = (), /, **fields: Object) -> Object:
    """An object of these fields and others; a trailing underscore in a name avoids Python's keywords."""
    schema: Object = {"type": "object", PRESERVE: True}
    if fields:
        schema["properties"] = {name.rstrip("_"): field for name, field in fields.items()}
    if required:
        schema["required"] = list(required)
    if validations:
        schema["x-kubernetes-validations"] = list(validations)
    return schema


def filled(schema: Object) -> Object:
    """The same object, refused when it is empty."""
    return schema | {"minProperties": 1}


def anything() -> Object:
    """An object of which nothing is said."""
    return obj()


def many(items: Object, by: str | None = None, least: int | None = None, most: int | None = None) -> Object:
    """A list; `by` is the field that tells its items apart."""
    schema: Object = {"type": "array", "items": items}
    if by:
        schema |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [by]}
    bounds = {"minItems": least, "maxItems": most}
    return schema | {key: value for key, value in bounds.items() if value is not None}


def mapping(values: Object) -> Object:
    """Names to values."""
    return {"type": "object", "additionalProperties": values}


def strings() -> Object:
    """Names to strings: labels, annotations, arguments."""
    return mapping(text())


def selector() -> Object:
    """A label selector."""
    requirement = obj(("key", "operator"), key=text(), operator=text(), values=many(text()))
    return obj(matchLabels=strings(), matchExpressions=many(requirement))


def named() -> Object:
    """A reference to an object of a known kind in the same namespace."""
    return obj(name=text())


def reference() -> Object:
    """A reference to any object."""
    return obj(apiVersion=text(), kind=text(), name=text(), namespace=text(), uid=text(), fieldPath=text())


def conditions(*, ours: bool = True) -> Object:
    """`status.conditions`: `metav1.Condition`s, or the older shape of Cluster API where not `ours`."""
    required = ("type", "status", "lastTransitionTime") + (("reason",) if ours else ())
    condition = obj(
        required,
        type=text(most=316),
        status=text("True", "False", "Unknown") if ours else text(),
        observedGeneration=number(0, format="int64"),
        lastTransitionTime=time(),
        reason=text(most=1024),
        message=text(most=32768),
        severity=text(),
    )
    return many(condition, by="type") if ours else many(condition)


def fixed(field: str) -> Object:
    """The rule of an object that one of its fields cannot change."""
    return {"rule": f"self.{field} == oldSelf.{field}", "message": f"{field} is immutable"}


def unchanged(schema: Object, name: str) -> Object:
    """The same field, which cannot change once it is set."""
    return schema | {"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": f"{name} is immutable"}]}


def crd(
    kind: Kind,
    spec: Object | None = None,
    status: Object | None = None,
    columns: Sequence[Column] = (AGE,),
    *,
    scale: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    categories: Sequence[str] = (),
    fields: Mapping[str, Object] | None = None,
    rules: Sequence[Object] = (),
    required: Sequence[str] = (),
) -> Object:
    """A CustomResourceDefinition of one version."""
    schema = _root(spec, status, fields or {})
    if rules:
        schema["x-kubernetes-validations"] = list(rules)
    if required:
        schema["required"] = list(required)
    version: Object = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [_column(*column) for column in columns],
    }
    subresources: Object = {}
    if status is not None:
        subresources["status"] = {}
    if scale is not None:
        subresources["scale"] = dict(scale)
    if subresources:
        version["subresources"] = subresources
    scope = "Namespaced" if kind.namespaced else "Cluster"
    names = _names(kind, categories)
    metadata: Object = {"labels": dict(labels)} if labels else {}
    if kind.group.endswith(".k8s.io"):  # an API server asks for this word on the groups of Kubernetes itself
        metadata["annotations"] = {"api-approved.kubernetes.io": "unapproved, compatible with the released API"}
    return CUSTOM_RESOURCE_DEFINITION.new(
        kind.resource,
        metadata=metadata,
        spec={"group": kind.group, "scope": scope, "names": names, "versions": [version]},
    )


def _root(spec: Object | None, status: Object | None, fields: Mapping[str, Object]) -> Object:
    properties: Object = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        **fields,
    }
    if spec is not None:
        properties["spec"] = spec
    if status is not None:
        properties["status"] = status
    return {"type": "object", "properties": properties}


def _names(kind: Kind, categories: Sequence[str]) -> Object:
    names: Object = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    if categories:
        names["categories"] = list(categories)
    return names


def _column(name: str, type_: str, path: str, priority: int = 0) -> Object:
    column: dict[str, Any] = {"name": name, "type": type_, "jsonPath": path}
    return column | {"priority": priority} if priority else column
