"""Create, update and delete: the order of steps that every write goes through."""

from __future__ import annotations

from typing import Any

from continuo.embedded.apicore import failures, fields, shaping
from continuo.embedded.apicore import metadata as meta
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import State
from continuo.embedded.machinery import schema as schemas
from continuo.embedded.machinery.fields import FieldError
from continuo.embedded.port import Write
from continuo.resources.errors import BadRequest, MethodNotAllowed
from continuo.resources.meta import Kind, Object

_MISSING: Any = object()
NAMESPACES = ("", "namespaces")


def served_of(state: State, obj: Object) -> Served:
    """How the object's apiVersion and kind are served."""
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    known = isinstance(api_version, str) and isinstance(kind, str)
    found = state.by_kind.get((api_version, kind)) if known else None  # type: ignore[arg-type]
    if found is None:
        raise BadRequest(f'no matches for kind "{kind}" in version "{api_version}"')
    return found


# --- create -----------------------------------------------------------------------------------------------------------
def create(state: State, obj: Object, write: Write, managed: list[Any] | None = None) -> Object:
    """Create; `managed` are the managed fields when server-side apply has already worked them out."""
    served = served_of(state, obj)
    given = _metadata(obj)
    if given.get("resourceVersion"):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    if served.closing:
        raise MethodNotAllowed("create not allowed while custom resource definition is terminating")
    namespace = _namespace(served, given)
    name = given.get("name") or given.get("generateName") or ""
    if served.kind.namespaced:
        _require_namespace(state, served.kind, namespace, name)
    shaped = shaping.shape(served, obj, write)
    try:
        claimed = _new_object(state, served, shaped, given, namespace)
        claimed = _admitted(state, served, "CREATE", served.strategy.defaults(claimed), None)
        new = _prepared(state, served, _with_status(served, claimed), None)
    except _MISSHAPEN:
        _refuse_misshapen(served, shaped)
        raise
    name = new["metadata"].get("name") or ""
    _raise_problems(served, name, [*meta.check_name(served.key, new["metadata"]),
                                   *_problems(state, served, new, None, write)])  # fmt: skip
    metadata = new["metadata"]
    if served.table.get(namespace, metadata["name"]) is not None:
        raise failures.already_exists(served.kind, metadata["name"])
    metadata["managedFields"] = (
        managed if managed is not None else fields.after_write(served, None, _claim(served, claimed), write, state.stamp())
    )
    if write.dry_run:
        return new
    return served.view(state.commit(served, "ADDED", served.stored(new), None))


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


_MISSHAPEN = (AttributeError, TypeError, ValueError, KeyError)


def _refuse_misshapen(served: Served, obj: Object) -> None:
    """What was too misshapen for the kind's own code is refused with what the schema says about it."""
    found = schemas.validate(served.schema or {}, obj)
    if found:
        words = ", ".join(problem.message() for problem in found)
        raise BadRequest(f'{served.kind.kind} in version "{served.kind.version}" cannot be handled: {words}')


def _metadata(obj: Object) -> Object:
    metadata = obj.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise BadRequest("metadata must be an object")
    return metadata or {}


def _prepared(state: State, served: Served, new: Object, old: Object | None) -> Object:
    """What the kind fills in from the cluster."""
    prepare = served.strategy.prepare
    return new if prepare is None else prepare(state, new, old)


def _admitted(state: State, served: Served, operation: str, new: Object, old: Object | None) -> Object:
    """What the admission hooks make of it, with the defaults of what they added."""
    before = new
    for hook in state.admission:
        admitted = hook(operation, served.kind, new, old)
        if admitted is not None:
            new = admitted
    return new if new is before else served.strategy.defaults(new)


def _problems(
    state: State, served: Served, new: Object, old: Object | None, write: Write, subresource: str = ""
) -> list[FieldError]:
    found = [] if write.trusted else meta.check(new["metadata"])
    if old is not None:
        found += meta.check_change(new["metadata"], old["metadata"])
    found += shaping.problems(served, new, old, write, subresource)
    if not found and subresource != "status":
        found += served.strategy.check(new, old)
        if served.strategy.check_in_cluster is not None:
            found += served.strategy.check_in_cluster(state, new, old)
    return found


def _raise_problems(served: Served, name: str, found: list[FieldError]) -> None:
    if found:
        raise failures.invalid(served.kind, name, found)


# --- update -----------------------------------------------------------------------------------------------------------
def current(served: Served, namespace: str, name: str) -> Object:
    """The object in this version; raises NotFound."""
    found = served.table.get(namespace, name)
    if found is None:
        raise failures.not_found(served.kind, name)
    return found if served.storage_served is None else served.view(found)


def update(state: State, obj: Object, write: Write, subresource: str = "") -> Object:
    """Replace what the writer may replace."""
    served = served_of(state, obj)
    given = _metadata(obj)
    name = given.get("name")
    if not name:
        raise failures.invalid(served.kind, "", meta.check_name(served.key, given))
    old = current(served, given.get("namespace") or "", name)
    return replace(state, served, old, obj, write, subresource)


def replace(
    state: State, served: Served, old: Object, obj: Object, write: Write, subresource: str = "",
    managed: list[Any] | None = None,
) -> Object:  # fmt: skip
    """The common end of update, patch and apply: `obj` is what the object should become."""
    _preconditions(served.kind, old["metadata"], obj.get("metadata") or {})
    shaped = shaping.shape(served, obj, write, subresource, old)
    new = _merge(served, old, shaped, subresource)
    name = old["metadata"]["name"]
    if subresource != "status":
        try:
            new = _admitted(state, served, "UPDATE", served.strategy.defaults(new), old)
            new = _prepared(state, served, new, old)
        except _MISSHAPEN:
            _refuse_misshapen(served, shaped)
            raise
    _raise_problems(served, name, _problems(state, served, new, old, write, subresource))
    if _same(new, old, managed):
        return old
    metadata = new["metadata"]
    if served.strategy.generation and _specified(served, new) != _specified(served, old):
        metadata["generation"] = old["metadata"].get("generation", 0) + 1
    metadata["managedFields"] = (
        managed if managed is not None else fields.after_write(served, old, new, write, state.stamp(), subresource)
    )
    return store(state, served, new, old, write.dry_run)


def store(state: State, served: Served, new: Object, old: Object, dry_run: bool = False) -> Object:
    """Commit a change; an object whose deletion only waited for this goes."""
    if dry_run:
        return new
    previous = served.table.get(old["metadata"].get("namespace") or "", old["metadata"]["name"])
    stored = served.stored(new)
    if "deletionTimestamp" in new["metadata"] and released(served, new):
        return served.view(state.commit(served, "DELETED", stored, previous))
    return served.view(state.commit(served, "MODIFIED", stored, previous))


def released(served: Served, obj: Object) -> bool:
    """Whether nothing holds an object that is being deleted."""
    metadata = obj["metadata"]
    if metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds"):
        return False
    return not (served.key == NAMESPACES and (obj.get("spec") or {}).get("finalizers"))


def _preconditions(kind: Kind, old: Object, given: Object) -> None:
    name, uid = old["name"], given.get("uid")
    if uid and uid != old["uid"]:
        raise failures.conflict(
            kind, name, f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['uid']}"
        )
    version = given.get("resourceVersion")
    if version and version != old["resourceVersion"]:
        raise failures.stale(kind, name)


def _merge(served: Served, old: Object, obj: Object, subresource: str) -> Object:
    """The parts that this endpoint may change from `obj`, the rest from `old`; equal parts are shared with `old`."""
    before = old["metadata"]
    if subresource == "status":
        new = {**old, "metadata": {**before}}
        status = obj.get("status", _MISSING)
        if status is _MISSING:
            new.pop("status", None)
        elif status != old.get("status"):
            new["status"] = status
        return new
    metadata = {name: value for name, value in before.items() if name not in _BY_WRITER}
    for name, value in meta.owned_by_writer(obj.get("metadata") or {}).items():
        metadata[name] = before[name] if before.get(name) == value else value
    owners = (obj.get("metadata") or {}).get("managedFields")
    if owners and owners != before.get("managedFields"):
        metadata["managedFields"] = owners
    new = {"apiVersion": served.api_version, "kind": served.kind.kind, "metadata": metadata}
    for name, value in obj.items():
        if name not in new:
            earlier = old.get(name, _MISSING)
            new[name] = earlier if earlier == value else value
    if served.type.status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    return new


_BY_WRITER = frozenset(("labels", "annotations", "ownerReferences", "finalizers"))
_HEAD = frozenset(("apiVersion", "kind", "metadata"))


def _same(new: Object, old: Object, managed: list[Any] | None) -> bool:
    """Whether the write changes nothing that deserves a version."""
    if new.keys() != old.keys():
        return False
    for name, value in new.items():
        if name != "metadata" and value is not old[name] and value != old[name]:
            return False
    before, after = old["metadata"], new["metadata"]
    owners = managed if managed is not None else after.get("managedFields") or []
    known = before.get("managedFields") or []
    if owners is not known and _timeless(owners) != _timeless(known):
        return False
    return {**after, "managedFields": None} == {**before, "managedFields": None}


def _timeless(managed: list[Any]) -> list[Any]:
    return [{name: value for name, value in entry.items() if name != "time"} for entry in managed]


def _specified(served: Served, obj: Object) -> Object:
    """Everything whose change is a new generation."""
    ignored = _HEAD | {"status"} if served.type.status else _HEAD
    return {name: value for name, value in obj.items() if name not in ignored}


def set_status(state: State, obj: Object, status: Any, manager: str) -> Object:
    """The stand-ins' way to write a status: no schema, coarse managed fields."""
    served = served_of(state, obj)
    metadata = obj["metadata"]
    old = current(served, metadata.get("namespace") or "", metadata["name"])
    if old.get("status") == status:
        return old
    new = {**old, "status": status}
    new["metadata"] = {
        **old["metadata"], "managedFields": fields.coarse(old, new, manager, state.stamp(), "status"),
    }  # fmt: skip
    return store(state, served, new, old)
