"""The CustomResourceDefinition of the LowLevelOrchestration."""

from __future__ import annotations

from continuo.resources.definitions import Column, definition
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, Spec, Status
from continuo.resources.orchestration_rules import RULES
from continuo.resources.schema import struct_schema

_COLUMNS: tuple[Column, ...] = (
    ("PHASE", "string", ".status.phase", 0),
    ("CLUSTERS", "string", ".status.summary.clusters", 0),
    ("LINKS", "string", ".status.summary.links", 0),
    ("APPS", "string", ".status.summary.apps", 0),
    ("READY", "string", ".status.conditions[?(@.type=='Ready')].status", 0),
    ("REASON", "string", ".status.conditions[?(@.type=='Ready')].reason", 0),
    ("MESSAGE", "string", ".status.conditions[?(@.type=='Ready')].message", 1),
    ("AGE", "date", ".metadata.creationTimestamp", 0),
)

DESCRIPTION = (
    "LowLevelOrchestration declares clusters, the links between them, and the applications that run across "
    "them. One object, status included, must stay under etcd's request limit of 1.5 MiB: use several beyond."
)


NAMES_TOGETHER = 50
"""How long the names of an orchestration and of a cluster may be together: `liqo-tenant-NAME-CLUSTER` is a namespace."""

_NAMES_RULE = {
    "rule": "!has(self.spec.clusters) || "
    f"self.spec.clusters.all(c, size(self.metadata.name) + size(c.name) <= {NAMES_TOGETHER})",
    "message": f"the object's name and a cluster's name are together longer than {NAMES_TOGETHER} characters, and "
    "NAME-CLUSTER names the cluster's objects: shorten one of them",
    "fieldPath": ".spec.clusters",
}


_DOTS_RULE = {
    "rule": "!self.metadata.name.contains('.') || !has(self.spec.clusters) || "
    "self.spec.clusters.all(c, c.provider == 'existing')",
    "message": "the object's name has a dot, and NAME-CLUSTER becomes a Liqo cluster ID, which may not: "
    "use letters, digits and dashes in metadata.name",
    "fieldPath": ".spec.clusters",
}


def low_level_orchestration_crd() -> Object:
    """The CustomResourceDefinition, ready to be applied."""
    return definition(
        LOW_LEVEL_ORCHESTRATION, DESCRIPTION, struct_schema(Spec, RULES), struct_schema(Status, {}), _COLUMNS,
        rules=(_NAMES_RULE, _DOTS_RULE),
    )  # fmt: skip
