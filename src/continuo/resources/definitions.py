"""What every CustomResourceDefinition of ours has in common."""

from __future__ import annotations

from collections.abc import Sequence

from continuo.resources.kinds import CUSTOM_RESOURCE_DEFINITION
from continuo.resources.meta import Kind, Object

Column = tuple[str, str, str, int]
"""A printer column: name, type, JSON path, priority."""


def definition(
    kind: Kind, about: str, spec: Object, status: Object, columns: Sequence[Column], *, rules: Sequence[Object] = ()
) -> Object:
    """The definition of one kind with a status, ready to be applied; `rules` are of the whole object."""
    schema: Object = {
        "type": "object",
        "description": about,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }
    if rules:
        schema["x-kubernetes-validations"] = list(rules)
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in columns],
    }
    names = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "shortNames": list(kind.short_names),
        "categories": ["continuo"],
    }
    scope = "Namespaced" if kind.namespaced else "Cluster"
    return CUSTOM_RESOURCE_DEFINITION.new(
        kind.resource, spec={"group": kind.group, "scope": scope, "names": names, "versions": [version]}
    )


def _column(name: str, type_: str, path: str, priority: int) -> Object:
    column: Object = {"name": name, "type": type_, "jsonPath": path}
    return column | {"priority": priority} if priority else column
