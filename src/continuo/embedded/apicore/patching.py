"""Patches of every kind, and server-side apply."""

from __future__ import annotations

from typing import Any

from continuo.embedded.apicore import creating, failures, subresources, writing
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import State
from continuo.embedded.machinery import apply as ssa
from continuo.embedded.machinery import patch as patches
from continuo.embedded.machinery.lastapplied import may_upgrade
from continuo.embedded.port import PatchKind, Write
from continuo.resources.errors import BadRequest, Conflict, UnsupportedMediaType
from continuo.resources.meta import Object


def patch(
    state: State, served: Served, name: str, namespace: str, how: PatchKind, body: Any, write: Write, subresource: str
) -> Object:
    """Change a part of an object; `apply` creates what is missing."""
    if how == "apply":
        return _apply(state, served, name, namespace, body, write, subresource)
    old = writing.current(served, namespace, name)
    if subresource == "scale":
        scale = patched(served, subresources.read(served, name, namespace, "scale"), how, body)
        return subresources.write(state, served, name, namespace, "scale", scale, write)
    new = patched(served, old, how, body)
    return writing.replace(state, served, old, _addressed(served, old, new), write, subresource)


def patched(served: Served, old: Object, how: PatchKind, body: Any) -> Object:
    """`old` with the patch put on it; nothing is stored."""
    if how == "json":
        return patches.json_patch(old, body)
    if how == "merge":
        return patches.merge_patch(old, body)
    if how != "strategic":
        raise BadRequest(f'unknown kind of patch "{how}"')
    if not served.type.builtin:
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        )
    return patches.strategic_patch(old, body, served.schema or {})


def _addressed(served: Served, old: Object, new: Any) -> Object:
    """The patched object, if it still is the same object."""
    if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
        raise BadRequest(f'the patch leaves no object of {served.kind.resource} "{old["metadata"]["name"]}"')
    for field in ("apiVersion", "kind"):
        if new.get(field) != old[field]:
            raise BadRequest(f"the {field} of the object cannot be changed from {old[field]} to {new.get(field)}")
    for field in ("name", "namespace"):
        if new["metadata"].get(field) != old["metadata"].get(field):
            raise BadRequest(
                f"the {field} of the object ({new['metadata'].get(field)}) does not match the {field} on the URL "
                f"({old['metadata'].get(field)})"
            )
    return new


def _apply(
    state: State, served: Served, name: str, namespace: str, body: Any, write: Write, subresource: str
) -> Object:
    if subresource == "scale":
        return _apply_scale(state, served, name, namespace, body, write)
    return _apply_to(state, served, name, namespace, _configuration(served, name, namespace, body), write, subresource)


def _apply_scale(state: State, served: Served, name: str, namespace: str, body: Any, write: Write) -> Object:
    """Apply a `Scale`: own nothing but the replicas."""
    address = {"name": name, "namespace": namespace} if namespace else {"name": name}
    bare = {"apiVersion": served.api_version, "kind": served.kind.kind, "metadata": address}
    applied = subresources.scaled(served, bare, body)
    return subresources.scale_of(served, _apply_to(state, served, name, namespace, applied, write, "scale"))


def _apply_to(
    state: State, served: Served, name: str, namespace: str, applied: Object, write: Write, subresource: str
) -> Object:
    live = served.table.get(namespace, name)
    old = served.view(live) if live is not None else None
    if old is None and subresource:
        raise failures.not_found(served.kind, name)
    if old is None and (uid := applied["metadata"].get("uid")):
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise failures.conflict(served.kind, name, why)
    merged = _merged(state, served, old, applied, write, subresource)
    managed = merged["metadata"].get("managedFields") or []
    if old is None:
        return creating.create(state, merged, write, managed)
    return writing.replace(state, served, old, merged, write, subresource, managed)


def _merged(
    state: State, served: Served, old: Object | None, applied: Object, write: Write, subresource: str
) -> Object:
    def apply(force: bool) -> Object:
        return ssa.server_side_apply(
            old, applied, manager=write.manager, schema=served.schema, force=force, time=state.stamp(),
            subresource=subresource, api_version=served.api_version, status_apart=served.type.status,
        )  # fmt: skip

    try:
        return apply(write.force)
    except Conflict as conflict:
        if old is None or not may_upgrade(old, write.manager, conflict, served.schema):
            raise
        return apply(True)


def _configuration(served: Served, name: str, namespace: str, body: Any) -> Object:
    """The applied object, with the name and namespace of its address."""
    if not isinstance(body, dict):
        raise BadRequest("the applied configuration must be an object")
    for field, wanted in (("apiVersion", served.api_version), ("kind", served.kind.kind)):
        if body.get(field) != wanted:
            raise BadRequest(f"the {field} of the applied object must be {wanted}, not {body.get(field)}")
    metadata = dict(body.get("metadata") or {})
    if metadata.get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    if metadata.setdefault("name", name) != name:
        raise BadRequest(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    if namespace and metadata.setdefault("namespace", namespace) != namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    return {**body, "metadata": metadata}
