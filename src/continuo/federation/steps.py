"""One step of a link: whether it is done, what it waits for, and what to write for it now."""

from __future__ import annotations

from dataclasses import dataclass

from continuo.federation import names
from continuo.federation.model import ClusterWrite
from continuo.federation.state import EndState
from continuo.resources.meta import Kind, Object, deleting


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it stands."""

    reason: str
    """CamelCase, for the link's condition while this is the first step that is not done."""
    done: bool
    waiting: str
    """What the step waits for, as a sentence without its full stop."""
    writes: tuple[ClusterWrite, ...] = ()
    refused: bool = False
    """Somebody said no: time alone does not heal it."""
    broken: bool = False
    """It worked as far as can be seen, and then stopped."""


def labels(peer_id: str, **more: str) -> dict[str, str]:
    """The label that ties an object to a peer, and others."""
    return {names.REMOTE_CLUSTER_ID: peer_id, **more}


def in_tenant_namespace(end: EndState, kind: Kind, name: str, extra: dict[str, str] | None = None) -> Object:
    """A new object about the peer, in the peer's tenant namespace."""
    return kind.new(name, end.namespace, metadata={"labels": labels(end.peer_id or "", **(extra or {}))})


def has_namespace(end: EndState) -> bool:
    """Whether objects can be created in the tenant namespace."""
    return end.tenant_namespace is not None and not deleting(end.tenant_namespace)


def name_of(obj: Object | None, default: str) -> str:
    """The name of what is there (another tool may have chosen it), else ours."""
    return str(obj["metadata"]["name"]) if obj is not None else default
