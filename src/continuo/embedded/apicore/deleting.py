"""Deletion: at once, after finalizers, after a pod's grace period, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

from continuo.embedded.apicore import failures, writing
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import State, timestamp
from continuo.resources.errors import BadRequest
from continuo.resources.meta import Object

_FINALIZER = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


@dataclass(frozen=True, slots=True)
class Deletion:
    """The request's options."""

    propagation: str = "Background"
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False
    grace_seconds: int | None = None


def delete(state: State, served: Served, namespace: str, name: str, asked: Deletion) -> Object:
    """Mark or remove; returns the last state."""
    if asked.propagation not in ("Background", "Foreground", "Orphan"):
        raise BadRequest(f'invalid propagation policy "{asked.propagation}": must be Background, Foreground or Orphan')
    old = writing.current(served, namespace, name)
    _preconditions(served, old["metadata"], asked)
    if served.strategy.refuse_delete is not None and (why := served.strategy.refuse_delete(old)):
        raise failures.forbidden(served.kind, name, why)
    for hook in state.admission:
        hook("DELETE", served.kind, old, old)
    grace = _grace(served, old, asked)
    new = _marked(state, served, old, asked.propagation, grace)
    if writing.released(served, new):
        return _remove(state, served, old, asked.dry_run)
    if new == old:
        return old
    return writing.store(state, served, new, old, asked.dry_run)


def _remove(state: State, served: Served, old: Object, dry_run: bool) -> Object:
    if dry_run:
        return old
    last = {**served.stored(old), "metadata": dict(old["metadata"])}
    previous = served.table.get(old["metadata"].get("namespace") or "", old["metadata"]["name"])
    return served.view(state.commit(served, "DELETED", last, previous))


def _preconditions(served: Served, metadata: Object, asked: Deletion) -> None:
    if asked.uid and asked.uid != metadata["uid"]:
        raise failures.deletion_conflict(
            served.kind, metadata["name"],
            f"the UID in the precondition ({asked.uid}) does not match the UID in record ({metadata['uid']}). "
            "The object might have been deleted and then recreated",
        )  # fmt: skip
    if asked.resource_version and asked.resource_version != metadata["resourceVersion"]:
        raise failures.deletion_conflict(
            served.kind, metadata["name"],
            f"the ResourceVersion in the precondition ({asked.resource_version}) does not match the ResourceVersion "
            f"in record ({metadata['resourceVersion']}). The object might have been modified",
        )  # fmt: skip


def _grace(served: Served, old: Object, asked: Deletion) -> int:
    """Seconds that the object may still take; 0 for everything but running pods."""
    if not served.strategy.graceful:
        return 0
    spec = old.get("spec") or {}
    if not spec.get("nodeName") or (old.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    grace = asked.grace_seconds
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", 30)
    before = old["metadata"].get("deletionGracePeriodSeconds")
    return int(grace) if before is None else min(int(grace), int(before))


def _marked(state: State, served: Served, old: Object, propagation: str, grace: int) -> Object:
    """The object as it looks while it waits for its end."""
    metadata = dict(old["metadata"])
    finalizers = [entry for entry in metadata.get("finalizers") or () if entry not in _FINALIZER.values()]
    if propagation in _FINALIZER:
        finalizers.append(_FINALIZER[propagation])
    elif "deletionTimestamp" in metadata:
        finalizers = metadata.get("finalizers") or []
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    if "deletionTimestamp" not in metadata:
        if "generation" in metadata:
            metadata["generation"] += 1
        metadata["deletionTimestamp"] = timestamp(state.clock() + grace)
        metadata["deletionGracePeriodSeconds"] = grace
    elif grace < metadata.get("deletionGracePeriodSeconds", 0):
        metadata["deletionTimestamp"] = timestamp(state.clock() + grace)
        metadata["deletionGracePeriodSeconds"] = grace
    new = {**old, "metadata": metadata}
    return served.strategy.deleting(new) if served.strategy.deleting is not None else new
