"""What every Kubernetes object has, and how a kind is addressed.

Objects travel as plain JSON dictionaries (`Object`): most of them belong to others (Cluster API, Liqo, Kubernetes), and
a controller must hand back fields it does not know. Continuo's own kinds are decoded into msgspec structs at the edges
of the code that decides about them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
"""One Kubernetes object as JSON: `apiVersion`, `kind`, `metadata` and whatever the kind brings."""

Key: TypeAlias = tuple[str, str]
"""(namespace, name); the namespace is the empty string for cluster-scoped kinds."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind at one version, as an API server addresses it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`: the value of the field `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`deployments.apps`, or `pods` for the core group: how kubectl and RBAC name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The request path; without a namespace a namespaced kind is addressed across all of them."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def new(self, name: str, namespace: str | None = None, **fields: Any) -> Object:
        """A new object of this kind; `fields` are its top-level fields (`spec=...`, `data=...`)."""
        metadata: Object = {"name": name}
        if self.namespaced and namespace:
            metadata["namespace"] = namespace
        metadata.update(fields.pop("metadata", {}))
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata, **fields}


def key_of(obj: Object) -> Key:
    """(namespace, name) of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def labels_of(obj: Object) -> dict[str, str]:
    """The labels, or an empty mapping."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """The annotations, or an empty mapping."""
    return obj["metadata"].get("annotations") or {}


def condition(obj: Object, type_: str) -> Object | None:
    """The condition of that type in `status.conditions`, or None."""
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry.get("type") == type_:
            found: Object = entry
            return found
    return None


def is_true(obj: Object, type_: str) -> bool:
    """Whether the condition exists and is True."""
    found = condition(obj, type_)
    return found is not None and found.get("status") == "True"


def deleting(obj: Object) -> bool:
    """Whether deletion was asked for and finalizers still hold the object."""
    return "deletionTimestamp" in obj["metadata"]
