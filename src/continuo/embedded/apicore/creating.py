"""Creation: from what a writer sends to a stored object with an identity."""

from __future__ import annotations

from typing import Any

from continuo.embedded.apicore import failures, fields, shaping
from continuo.embedded.apicore import metadata as meta
from continuo.embedded.apicore.alike import Proven
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import State
from continuo.embedded.apicore.steps import (
    MISSHAPEN,
    NAMESPACES,
    admitted,
    metadata_of,
    prepared,
    problems_of,
    raise_problems,
    refuse_misshapen,
    served_of,
)
from continuo.embedded.port import Write
from continuo.resources.errors import BadRequest, MethodNotAllowed
from continuo.resources.meta import Kind, Object


def create(state: State, obj: Object, write: Write, managed: list[Any] | None = None) -> Object:
    """Create; `managed` are the managed fields when server-side apply has already worked them out."""
    served = served_of(state, obj)
    given = metadata_of(obj)
    if given.get("resourceVersion"):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    if served.closing:
        raise MethodNotAllowed("create not allowed while custom resource definition is terminating")
    namespace = _namespace(served, given)
    name = given.get("name") or given.get("generateName") or ""
    if served.kind.namespaced:
        _require_namespace(state, served.kind, namespace, name)
    likeness = served.alike.likeness(obj, write) if served.strategy.by_spec and managed is None else None
    known, warned = served.alike.find(likeness), len(write.warnings)
    shaped = {**obj, "spec": known.spec} if known else shaping.shape(served, obj, write, applied=managed is not None)
    try:
        claimed = _new_object(state, served, shaped, given, namespace)
        claimed = claimed if known else served.strategy.defaults(claimed)
        claimed, new, alike = _filled(state, served, claimed, known)
    except MISSHAPEN:
        refuse_misshapen(served, shaped)
        raise
    name = new["metadata"].get("name") or ""
    raise_problems(served, name, [*meta.check_name(served.key, new["metadata"]),
                                   *problems_of(state, served, new, None, write, proven=bool(known) and alike)])  # fmt: skip
    metadata = new["metadata"]
    if served.table.get(namespace, metadata["name"]) is not None:
        raise failures.already_exists(served.kind, metadata["name"])
    if managed is None and known and alike:
        managed = fields.of_alike(served, known.owned, write, state.stamp())
    elif managed is None:
        managed = fields.after_write(served, None, _claim(served, claimed), write, state.stamp())
        if likeness is not None and alike and len(write.warnings) == warned:
            served.alike.keep(likeness, Proven(new["spec"], new.get("status"), managed[0]["fieldsV1"]))
    metadata["managedFields"] = managed
    if not metadata["managedFields"]:
        del metadata["managedFields"]
    if write.dry_run:
        return new
    return served.view(state.commit(served, "ADDED", served.stored(new), None))


def _filled(state: State, served: Served, claimed: Object, known: Proven | None) -> tuple[Object, Object, bool]:
    """What the creator owns of a new object, all of it, and whether nothing but its own words has made it so."""
    allowed = admitted(state, served, "CREATE", claimed, None)
    if known and known.status is not None and allowed is claimed:
        whole = {**claimed, "status": known.status}
    else:
        whole = _with_status(served, allowed)
    new = prepared(state, served, whole, None)
    return allowed, new, allowed is claimed and new is whole


def _namespace(served: Served, given: Object) -> str:
    namespace = given.get("namespace") or ""
    if served.type.kind.namespaced:
        if not namespace:
            raise BadRequest("an empty namespace may not be set during creation")
    elif namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    return str(namespace)


def _require_namespace(state: State, kind: Kind, namespace: str, name: str) -> None:
    found = state.tables[NAMESPACES].get("", namespace)
    if found is None:
        raise failures.not_found(state.by_kind["v1", "Namespace"].kind, namespace)
    if "deletionTimestamp" in found["metadata"]:
        raise failures.forbidden(
            kind, name, f"unable to create new content in namespace {namespace} because it is being terminated",
            [{
                "reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }],
        )  # fmt: skip


def _new_object(state: State, served: Served, obj: Object, given: Object, namespace: str) -> Object:
    metadata: Object = {}
    name, prefix = given.get("name"), given.get("generateName")
    if prefix:
        metadata["generateName"] = prefix
        if not name:
            name = meta.generated_name(prefix, state.random)
    if name:
        metadata["name"] = name
    if namespace:
        metadata["namespace"] = namespace
    metadata["uid"] = state.uid()
    metadata["resourceVersion"] = ""
    strategy = served.strategy
    if strategy.generation:
        metadata["generation"] = 1
    metadata["creationTimestamp"] = state.stamp()
    metadata.update(meta.owned_by_writer(given))
    new = {"apiVersion": served.api_version, "kind": served.kind.kind, "metadata": metadata}
    for field, value in obj.items():
        if field not in new:
            new[field] = value
    return new


def _with_status(served: Served, new: Object) -> Object:
    """A new object has the status that its kind starts with, whatever its creator sent."""
    strategy = served.strategy
    if not served.type.status or (strategy.keeps_status and new.get("status")):
        return new
    new = {name: value for name, value in new.items() if name != "status"}
    status = strategy.status(new) if strategy.status is not None else None
    if status is not None:
        new["status"] = status
    return new


def _claim(served: Served, obj: Object) -> Object:
    """The part of a new object that its creator owns: not the status that the API gave it."""
    if not served.type.status or served.strategy.keeps_status or "status" not in obj:
        return obj
    return {name: value for name, value in obj.items() if name != "status"}
