"""What Cluster API's webhooks do: defaults, and the refusals users meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from continuo.embedded.port import Api
from continuo.embedded.standins.capi.flavors import BY_CONTROL_PLANE
from continuo.embedded.standins.capi.infrastructure import BY_TEMPLATE
from continuo.resources.errors import Invalid
from continuo.resources.kinds import MACHINE_DEPLOYMENT
from continuo.resources.meta import Kind, Object, labels_of

CLUSTER_NAME = "cluster.x-k8s.io/cluster-name"
DEPLOYMENT_NAME = "cluster.x-k8s.io/deployment-name"
Hook = Callable[[Any, Kind, Object, Object | None], Object | None]


def install(api: Api) -> Callable[[], None]:
    """Let the webhooks see every write of this cluster; returns the function that removes them."""
    hooks: list[Hook] = getattr(api, "admission", [])
    hooks.append(admit)
    return lambda: hooks.remove(admit) if admit in hooks else None


def admit(operation: str, kind: Kind, new: Object, old: Object | None) -> Object | None:
    """Default or refuse one write."""
    if operation == "DELETE":
        return None
    if kind.kind in BY_CONTROL_PLANE:
        return _control_plane(kind, new)
    if kind.resource == MACHINE_DEPLOYMENT.resource:
        return _machine_deployment(new)
    if kind.kind in BY_TEMPLATE and old is not None and new.get("spec") != old.get("spec"):
        refuse(
            kind, new, "spec.template.spec", "FieldValueInvalid",
            f"Invalid value: {kind.kind} spec.template.spec field is immutable. "
            "Please create a new resource instead.",
        )  # fmt: skip
    return None


def refuse(kind: Kind, obj: Object, field: str, reason: str, message: str) -> None:
    """Raise Invalid in the API's words."""
    name = obj["metadata"].get("name", "")
    raise Invalid(
        f'{kind.kind}.{kind.group} "{name}" is invalid: {field}: {message}',
        details={
            "name": name, "group": kind.group, "kind": kind.kind,
            "causes": [{"reason": reason, "message": message, "field": field}],
        },
    )  # fmt: skip


def _external_etcd(spec: Object) -> bool:
    configuration = (spec.get("kubeadmConfigSpec") or {}).get("clusterConfiguration") or {}
    return bool((configuration.get("etcd") or {}).get("external"))


def _control_plane(kind: Kind, new: Object) -> Object | None:
    spec = new.get("spec") or {}
    replicas = spec.get("replicas")
    if replicas is None:
        return {**new, "spec": {**spec, "replicas": 1}}
    if replicas == 0:
        refuse(kind, new, "spec.replicas", "FieldValueForbidden", "Forbidden: cannot be 0")
    if replicas % 2 == 0 and not _external_etcd(spec):
        message = "Forbidden: cannot be an even number when etcd is stacked"
        refuse(kind, new, "spec.replicas", "FieldValueForbidden", message)
    return None


def _machine_deployment(new: Object) -> Object | None:
    spec = new.get("spec") or {}
    name, cluster = new["metadata"].get("name", ""), spec.get("clusterName", "")
    changed = dict(spec)
    if "replicas" not in spec:
        changed["replicas"] = 1
    own = {CLUSTER_NAME: cluster, DEPLOYMENT_NAME: name}
    selector = dict((spec.get("selector") or {}).get("matchLabels") or {})
    if not own.items() <= selector.items():
        changed["selector"] = {**(spec.get("selector") or {}), "matchLabels": {**selector, **own}}
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not own.items() <= labels.items():
        metadata = {**(template.get("metadata") or {}), "labels": {**labels, **own}}
        changed["template"] = {**template, "metadata": metadata}
    if changed == spec and labels_of(new).get(CLUSTER_NAME) == cluster:
        return None
    metadata = {**new["metadata"], "labels": {**labels_of(new), CLUSTER_NAME: cluster}}
    return {**new, "metadata": metadata, "spec": changed}
