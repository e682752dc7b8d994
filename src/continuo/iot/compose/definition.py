"""What Crossplane is given: the claim's definition, its composition, the function, and the rights to compose our kinds."""

from __future__ import annotations

from collections.abc import Sequence

from continuo.iot.compose.claim import CONTINUUM_SLICE, Plugin, Spec, Status, Workload
from continuo.iot.compose.names import HASH
from continuo.resources import boards_rules, orchestration_rules
from continuo.resources.boards_networks import EXPOSED_SERVICE, PORT, VIRTUAL_NETWORK
from continuo.resources.boards_plugins import PLUGIN, PLUGIN_INJECTION
from continuo.resources.boards_things import BOARD
from continuo.resources.boards_workloads import WORKLOAD
from continuo.resources.crd import NAMES_TOGETHER
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.resources.orchestration_rules import Rule
from continuo.resources.schema import struct_schema

XRD = Kind(
    "apiextensions.crossplane.io", "v2", "CompositeResourceDefinition", "compositeresourcedefinitions", namespaced=False
)  # fmt: skip
COMPOSITION = Kind("apiextensions.crossplane.io", "v1", "Composition", "compositions", namespaced=False)
FUNCTION = Kind("pkg.crossplane.io", "v1", "Function", "functions", namespaced=False)
RUNTIME_CONFIG = Kind(
    "pkg.crossplane.io", "v1beta1", "DeploymentRuntimeConfig", "deploymentruntimeconfigs", namespaced=False
)  # fmt: skip
FUNCTION_META = Kind("meta.pkg.crossplane.io", "v1", "Function", "functions", namespaced=False)
_CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)

FUNCTION_NAME = "continuo-compose"
STEP = "slice"
COMPOSED = (
    LOW_LEVEL_ORCHESTRATION, VIRTUAL_NETWORK, PLUGIN, PLUGIN_INJECTION, EXPOSED_SERVICE, PORT, WORKLOAD,
)  # fmt: skip
_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
_COLUMNS = (
    ("CLUSTERS", "string", ".status.clusters", 0),
    ("NETWORK", "string", ".status.network", 1),
    ("BOARDS", "integer", ".status.boards.found", 0),
    ("BOARDS-READY", "integer", ".status.boards.ready", 0),
    ("MESSAGE", "string", ".status.conditions[?(@.type=='BoardsReady')].message", 1),
)
_NAMES_RULE = {
    "rule": "!has(self.spec.orchestration) || !has(self.spec.orchestration.clusters) || "
    "self.spec.orchestration.clusters.all(c, "
    f"size(self.metadata.name) + size(c.name) <= {NAMES_TOGETHER - HASH - 1})",
    "message": f"the object's name and a cluster's name are together longer than {NAMES_TOGETHER - HASH - 1} characters: "
    "shorten one of them",
    "fieldPath": ".spec.orchestration.clusters",
}
_BOARDS_RULE = {
    "rule": "has(self.boards) || !(has(self.network) || has(self.plugins) && size(self.plugins) > 0 || "
    "has(self.expose) && size(self.expose) > 0 || has(self.workloads) && size(self.workloads) > 0)",
    "message": "required where plugins, expose, network or workloads are given: say which boards by matchLabels",
    "fieldPath": ".boards",
    "reason": "FieldValueRequired",
}


_RULES = {
    Plugin: (Rule("has(self.code) != has(self.codeFrom)", "must be given, unless codeFrom is: one of both", "code"),),
    Workload: (
        Rule("!(has(self.runtime) && self.runtime == 'container') || has(self.image)",
             "is needed with runtime container", "image", required=True),
        Rule("!(has(self.job) && has(self.restart) && self.restart == 'Always')",
             "must be OnFailure or Never for a job, which ends", "restart"),
    ),
}  # fmt: skip
"""What would only be refused when the objects are made."""


def definition() -> Object:
    """The CompositeResourceDefinition of the ContinuumSlice, in which the claim's whole schema is."""
    spec = struct_schema(Spec, {**orchestration_rules.RULES, **boards_rules.RULES, **_RULES})
    spec["x-kubernetes-validations"] = [_BOARDS_RULE]
    schema = {
        "type": "object",
        "description": "ContinuumSlice is clusters, a network and boards in one claim.",
        "x-kubernetes-validations": [_NAMES_RULE],
        "required": ["spec"],
        "properties": {"spec": spec, "status": struct_schema(Status, {})},
    }
    version = {
        "name": CONTINUUM_SLICE.version,
        "served": True,
        "referenceable": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
    }
    names = {
        "kind": CONTINUUM_SLICE.kind,
        "plural": CONTINUUM_SLICE.plural,
        "singular": CONTINUUM_SLICE.kind.lower(),
        "shortNames": list(CONTINUUM_SLICE.short_names),
        "categories": ["continuo"],
    }
    fields = {"group": CONTINUUM_SLICE.group, "names": names, "scope": "Namespaced", "versions": [version]}
    return XRD.new(CONTINUUM_SLICE.resource, spec=fields)


def composition(function: str = FUNCTION_NAME) -> Object:
    """The Composition: one step, which marks readiness itself."""
    made_of = {"apiVersion": CONTINUUM_SLICE.api_version, "kind": CONTINUUM_SLICE.kind}
    pipeline = [{"step": STEP, "functionRef": {"name": function}}]
    return COMPOSITION.new(
        CONTINUUM_SLICE.resource, spec={"compositeTypeRef": made_of, "mode": "Pipeline", "pipeline": pipeline}
    )


def rights() -> Object:
    """What Crossplane may do with our kinds: it aggregates roles with this label into its own."""
    groups: dict[str, list[str]] = {}
    for kind in COMPOSED:
        groups.setdefault(kind.group, []).append(kind.plural)
    rules = [
        {"apiGroups": [group], "resources": sorted(kinds), "verbs": list(_VERBS)} for group, kinds in groups.items()
    ]
    rules.append({"apiGroups": [BOARD.group], "resources": [BOARD.plural], "verbs": ["get", "list", "watch"]})
    labels = {"rbac.crossplane.io/aggregate-to-crossplane": "true", "app.kubernetes.io/name": "continuo"}
    return _CLUSTER_ROLE.new("continuo-aggregate-to-crossplane", metadata={"labels": labels}, rules=rules)


def function(package: str, name: str = FUNCTION_NAME) -> list[Object]:
    """The Function of a package, and how Crossplane starts it: as the image's command, with these arguments."""
    container = {"name": "package-runtime", "args": ["boards", "function"]}
    pod = {"spec": {"containers": [container]}}
    deployment = {"spec": {"selector": {}, "template": pod}}
    told = {"apiVersion": RUNTIME_CONFIG.api_version, "kind": RUNTIME_CONFIG.kind, "name": name}
    return [
        RUNTIME_CONFIG.new(name, spec={"deploymentTemplate": deployment}),
        FUNCTION.new(name, spec={"package": package, "runtimeConfigRef": told}),
    ]


def package_meta(name: str = FUNCTION_NAME) -> Object:
    """`crossplane.yaml`: what makes an image of Continuo a package of Crossplane."""
    spec = {"capabilities": ["composition"], "crossplane": {"version": ">=v1.20.0-0"}}
    return FUNCTION_META.new(name, spec=spec)


def slice_objects(function_name: str = FUNCTION_NAME, package: str | None = None) -> list[Object]:
    """Everything, in the order in which it has to be applied; with a package its Function, too."""
    made: Sequence[Object] = function(package, function_name) if package else ()
    return [rights(), *made, definition(), composition(function_name)]


def _column(name: str, type_: str, path: str, priority: int) -> Object:
    column: Object = {"name": name, "type": type_, "jsonPath": path}
    return column | {"priority": priority} if priority else column
