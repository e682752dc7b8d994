"""What every CustomResourceDefinition of ours has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from continuo.resources.kinds import CUSTOM_RESOURCE_DEFINITION
from continuo.resources.meta import Kind, Object

Column = tuple[str, str, str, int]
"""A printer column: name, type, JSON path, priority."""

OURS = ("continuo",)
"""The category that `kubectl get` finds our kinds by."""


def definition(
    kind: Kind,
    about: str,
    spec: Object,
    status: Object,
    columns: Sequence[Column],
    *,
    rules: Sequence[Object] = (),
    categories: Sequence[str] = OURS,
) -> Object:
    """The definition of one kind with a status, ready to be applied; `rules` are of the whole object."""
    fields = {"spec": spec, "status": status}
    return definition_of_fields(kind, about, fields, ["spec"], columns, rules=rules, categories=categories)


def definition_of_fields(
    kind: Kind,
    about: str,
    fields: Mapping[str, Object],
    required: Sequence[str],
    columns: Sequence[Column],
    *,
    rules: Sequence[Object] = (),
    categories: Sequence[str] = OURS,
) -> Object:
    """The definition of a kind that has any fields; a `status` among them is a subresource."""
    schema: Object = {
        "type": "object",
        "description": about,
        "required": list(required),
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            **fields,
        },
    }
    if rules:
        schema["x-kubernetes-validations"] = list(rules)
    version: Object = {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    if "status" in fields:
        version["subresources"] = {"status": {}}
    version["additionalPrinterColumns"] = [_column(*column) for column in columns]
    return _with_names(kind, version, categories)


def _with_names(kind: Kind, version: Object, categories: Sequence[str]) -> Object:
    names: Object = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        **({"shortNames": list(kind.short_names)} if kind.short_names else {}),
        "categories": list(categories),
    }
    scope = "Namespaced" if kind.namespaced else "Cluster"
    return CUSTOM_RESOURCE_DEFINITION.new(
        kind.resource, spec={"group": kind.group, "scope": scope, "names": names, "versions": [version]}
    )


def _column(name: str, type_: str, path: str, priority: int) -> Object:
    column: Object = {"name": name, "type": type_, "jsonPath": path}
    return column | {"priority": priority} if priority else column
