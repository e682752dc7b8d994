"""The ClusterRoles and bindings that every cluster starts with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from continuo.embedded.port import Api, Write
from continuo.resources.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING
from continuo.resources.meta import Object

_GROUP = "rbac.authorization.k8s.io"
_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_MANAGER = Write(manager="kube-apiserver")
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*")
_PUBLIC = ("/healthz", "/livez", "/readyz", "/version", "/version/")

_CORE = (
    "configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "replicationcontrollers",
    "replicationcontrollers/scale", "serviceaccounts", "services",
)  # fmt: skip
_APPS = (
    "controllerrevisions", "daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale",
    "statefulsets", "statefulsets/scale",
)  # fmt: skip
_STATUS = ("pods/status", "services/status", "persistentvolumeclaims/status", "namespaces/status")
_OTHERS = (
    ("batch", ("cronjobs", "jobs")),
    ("autoscaling", ("horizontalpodautoscalers",)),
    ("policy", ("poddisruptionbudgets",)),
    ("networking.k8s.io", ("ingresses", "networkpolicies")),
    ("discovery.k8s.io", ("endpointslices",)),
)


def _rule(groups: Sequence[str], resources: Sequence[str], verbs: Sequence[str]) -> dict[str, Any]:
    return {"apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs)}


def _view() -> Iterator[dict[str, Any]]:
    yield _rule([""], [*_CORE, *_STATUS, "namespaces", "limitranges", "resourcequotas", "pods/log"], _READ)
    yield _rule(["apps"], [*_APPS, "deployments/status", "replicasets/status", "statefulsets/status"], _READ)
    for group, resources in _OTHERS:
        yield _rule([group], resources, _READ)


def _edit() -> Iterator[dict[str, Any]]:
    yield from _view()
    yield _rule([""], ["secrets"], [*_READ, *_WRITE])
    yield _rule([""], [name for name in _CORE if name != "events"], _WRITE)
    yield _rule([""], ["events"], ["create", "patch", "update"])
    yield _rule([""], ["serviceaccounts"], ["impersonate"])
    yield _rule([""], ["serviceaccounts/token", "pods/eviction"], ["create"])
    yield _rule(["apps"], [*_APPS, "deployments/rollback"], _WRITE)
    for group, resources in _OTHERS:
        yield _rule([group], resources, _WRITE)
    yield _rule(["coordination.k8s.io"], ["leases"], [*_READ, *_WRITE])


def _admin() -> Iterator[dict[str, Any]]:
    yield from _edit()
    yield _rule([_GROUP], ["roles", "rolebindings"], [*_READ, *_WRITE])
    yield _rule(["authorization.k8s.io"], ["localsubjectaccessreviews"], ["create"])


def _role(name: str, rules: Sequence[dict[str, Any]], **metadata: Any) -> Object:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults", **metadata.pop("labels", {})}
    return CLUSTER_ROLE.new(name, metadata={"labels": labels}, rules=list(rules), **metadata)


def _aggregating(name: str, rules: Sequence[dict[str, Any]], into: str | None) -> Object:
    """A role that others extend by the label `rbac.authorization.k8s.io/aggregate-to-NAME`."""
    labels = {f"{_GROUP}/aggregate-to-{into}": "true"} if into else {}
    selectors = [{"matchLabels": {f"{_GROUP}/aggregate-to-{name}": "true"}}]
    return _role(name, rules, labels=labels, aggregationRule={"clusterRoleSelectors": selectors})


def _paths(paths: Sequence[str]) -> dict[str, Any]:
    return {"nonResourceURLs": list(paths), "verbs": ["get"]}


def _binding(role: str, *groups: str) -> Object:
    return CLUSTER_ROLE_BINDING.new(
        role,
        metadata={"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        roleRef={"apiGroup": _GROUP, "kind": "ClusterRole", "name": role},
        subjects=[{"apiGroup": _GROUP, "kind": "Group", "name": group} for group in groups],
    )


def default_objects() -> Iterator[Object]:
    """All of them, roles before the bindings that name them."""
    reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
    yield _role("cluster-admin", [_rule(["*"], ["*"], ["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}])
    yield _aggregating("admin", list(_admin()), None)
    yield _aggregating("edit", list(_edit()), "admin")
    yield _aggregating("view", list(_view()), "edit")
    yield _role("system:discovery", [_paths([*_DISCOVERY, *_PUBLIC])])
    yield _role("system:public-info-viewer", [_paths(_PUBLIC)])
    yield _role(
        "system:basic-user",
        [
            _rule(["authorization.k8s.io"], reviews, ["create"]),
            _rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
        ],
    )
    yield _binding("cluster-admin", "system:masters")
    yield _binding("system:discovery", "system:authenticated")
    yield _binding("system:basic-user", "system:authenticated")
    yield _binding("system:public-info-viewer", "system:authenticated", "system:unauthenticated")


def ensure_defaults(api: Api) -> None:
    """Create what is missing; what exists may have been edited and is left alone."""
    for obj in default_objects():
        kind = CLUSTER_ROLE if obj["kind"] == "ClusterRole" else CLUSTER_ROLE_BINDING
        if api.find(kind, obj["metadata"]["name"]) is None:
            api.create(obj, _MANAGER)
