"""The parts of objects with an address of their own: status, scale, binding, eviction, finalize, approval."""

from __future__ import annotations

from typing import Any

from continuo.embedded.apicore import deleting, failures, writing
from continuo.embedded.apicore.selecting import selector_text, selects
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import State
from continuo.embedded.apicore.steps import NAMESPACES
from continuo.embedded.port import Write
from continuo.resources.errors import BadRequest, NotFound, TooManyRequests
from continuo.resources.meta import Object, labels_of

PODS = ("", "pods")
_SIGNING = ("certificates.k8s.io", "certificatesigningrequests")


def offered(served: Served) -> tuple[str, ...]:
    """The subresources of a resource, as discovery lists them."""
    found = ["status"] if served.type.status else []
    if served.type.scale is not None:
        found.append("scale")
    found += {PODS: ["binding", "eviction"], NAMESPACES: ["finalize"], _SIGNING: ["approval"]}.get(served.key, [])
    return tuple(found)


def _require(served: Served, subresource: str) -> None:
    if subresource not in offered(served):
        raise NotFound("the server could not find the requested resource")


def read(served: Served, name: str, namespace: str, subresource: str) -> Object:
    """GET of a subresource."""
    _require(served, subresource)
    obj = writing.current(served, namespace, name)
    return scale_of(served, obj) if subresource == "scale" else obj


def write(
    state: State, served: Served, name: str, namespace: str, subresource: str, body: Object, how: Write
) -> Object:
    """PUT (status, scale, finalize, approval) or POST (binding, eviction) of a subresource."""
    _require(served, subresource)
    old = writing.current(served, namespace, name)
    if subresource == "scale":
        return scale_of(served, _rescale(state, served, old, body, how))
    if subresource == "binding":
        return _bind(state, served, old, body, how)
    if subresource == "eviction":
        return _evict(state, served, old, body, how)
    if subresource == "finalize":
        return _finalize(state, served, old, body, how)
    return writing.replace(state, served, old, body, how, "status" if subresource == "approval" else subresource)


# --- scale ------------------------------------------------------------------------------------------------------------
def scale_of(served: Served, obj: Object) -> Object:
    """The `Scale` of an object."""
    paths, metadata = served.type.scale or {}, obj["metadata"]
    status: Object = {"replicas": _at(obj, paths.get("statusReplicasPath", "")) or 0}
    if served.type.builtin:
        selector = selector_text((obj.get("spec") or {}).get("selector") or {})
    else:
        selector = _at(obj, paths.get("labelSelectorPath", "")) or ""
    if selector:
        status["selector"] = selector
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = _at(obj, paths["specReplicasPath"])
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: metadata[field] for field in kept if field in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def scaled(served: Served, obj: Object, scale: Object) -> Object:
    """The object with the replicas (and the preconditions) of a `Scale`."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        problem = failures.invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise failures.invalid(served.kind, obj["metadata"]["name"], [problem])
    given = scale.get("metadata") or {}
    metadata = {**obj["metadata"]}
    for field in ("uid", "resourceVersion"):
        if given.get(field):
            metadata[field] = given[field]
    path = (served.type.scale or {})["specReplicasPath"].strip(".").split(".")
    return {**_with(obj, path, replicas), "metadata": metadata}


def _rescale(state: State, served: Served, old: Object, body: Object, how: Write) -> Object:
    if body.get("kind") != "Scale":
        raise BadRequest(f"the body must be a Scale, not a {body.get('kind')}")
    return writing.replace(state, served, old, scaled(served, old, body), how, "scale")


def _at(obj: Any, path: str) -> Any:
    for name in path.strip(".").split("."):
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def _with(obj: Object, path: list[str], value: Any) -> Object:
    if len(path) == 1:
        return {**obj, path[0]: value}
    return {**obj, path[0]: _with(obj.get(path[0]) or {}, path[1:], value)}


# --- pods -------------------------------------------------------------------------------------------------------------
def _bind(state: State, served: Served, pod: Object, body: Object, how: Write) -> Object:
    """Put the pod on a node, once; the binding's labels and annotations become the pod's. The node is not asked for."""
    metadata, target, given = pod["metadata"], body.get("target") or {}, body.get("metadata") or {}
    name = metadata["name"]
    if given.get("name", name) != name:
        raise BadRequest(f"the name of the object ({given['name']}) does not match the name on the URL ({name})")
    if target.get("kind") not in (None, "", "Node") or not target.get("name"):
        raise failures.invalid(served.kind, name, [failures.required("target.name")])
    for field in ("uid", "resourceVersion"):
        if given.get(field) and given[field] != metadata[field]:
            what = field.replace("uid", "UID")
            why = (
                f"Precondition failed: {what} in precondition: {given[field]}, {what} in object meta: {metadata[field]}"
            )
            raise failures.conflict(served.kind, name, why)
    if "deletionTimestamp" in metadata:
        raise failures.conflict(served.kind, name, f"pod {name} is being deleted, cannot be assigned to a host")
    node = pod["spec"].get("nodeName")
    if node:
        raise failures.conflict(served.kind, name, f'pod {name} is already assigned to node "{node}"')
    if pod["spec"].get("schedulingGates"):
        raise failures.conflict(served.kind, name, f"pod {name} has non-empty .spec.schedulingGates")
    return writing.store(state, served, _bound(state, pod, target["name"], given), pod, how.dry_run)


def _bound(state: State, pod: Object, node: str, given: Object) -> Object:
    metadata = dict(pod["metadata"])
    for field in ("labels", "annotations"):
        if given.get(field):
            metadata[field] = {**(metadata.get(field) or {}), **given[field]}
    status = pod.get("status") or {}
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": state.stamp()}
    others = [entry for entry in status.get("conditions") or () if entry["type"] != "PodScheduled"]
    return {
        **pod, "metadata": metadata, "spec": {**pod["spec"], "nodeName": node},
        "status": {**status, "conditions": [*others, scheduled]},
    }  # fmt: skip


def _evict(state: State, served: Served, pod: Object, body: Object, how: Write) -> Object:
    """Delete the pod, unless a disruption budget says no."""
    metadata = pod["metadata"]
    for budget in state.tables["policy", "poddisruptionbudgets"].within(metadata["namespace"]):
        covered = selects((budget.get("spec") or {}).get("selector"), labels_of(pod))
        if covered and (budget.get("status") or {}).get("disruptionsAllowed", 0) < 1:
            raise TooManyRequests(
                "Cannot evict pod as it would violate the pod's disruption budget.",
                details={"causes": [{
                    "reason": "DisruptionBudget",
                    "message": f'The disruption budget {budget["metadata"]["name"]} does not allow it now',
                }]},
            )  # fmt: skip
    options = body.get("deleteOptions") or {}
    asked = deleting.Deletion(
        options.get("propagationPolicy") or "Background", (options.get("preconditions") or {}).get("uid"),
        (options.get("preconditions") or {}).get("resourceVersion"), how.dry_run, options.get("gracePeriodSeconds"),
    )  # fmt: skip
    return deleting.delete(state, served, metadata["namespace"], metadata["name"], asked)


def _finalize(state: State, served: Served, namespace: Object, body: Object, how: Write) -> Object:
    """Replace a namespace's `spec.finalizers`; the last one going lets a deleted namespace go."""
    spec = body.get("spec") or {}
    if spec == (namespace.get("spec") or {}):
        return namespace
    new = {**namespace, "metadata": dict(namespace["metadata"]), "spec": spec}
    return writing.store(state, served, new, namespace, how.dry_run)
