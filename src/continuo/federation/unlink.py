"""Removing a link, in the order in which Liqo can follow: resources, access, network, then the leftovers."""

from __future__ import annotations

from dataclasses import replace

from continuo.federation import names
from continuo.federation.compare import ensure, remove, unique
from continuo.federation.model import ClusterWrite, LinkPhase, LinkProgress, LinkSettings
from continuo.federation.state import EndState
from continuo.federation.steps import Step
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, annotations_of, condition

_Doomed = tuple[EndState, Kind, Object]


def retreat(first: EndState, second: EndState, settings: LinkSettings | None = None) -> LinkProgress:
    """The next deletions, stage by stage, until nothing of the link is left at either end.

    A dead peer holds the removal up, with the reason, unless `settings.force` allows to go on without it:
    then its end counts as empty and Liqo at the living end is told not to wait for it.
    """
    settings = settings or LinkSettings()
    dead = [end for end in (first, second) if not end.reachable]
    if dead and not settings.force:
        who = " and ".join(end.name for end in dead)
        message = f"the API of {who} does not answer; bring it back, or allow the removal to be forced"
        return LinkProgress(LinkPhase.UNPEERING, "PeerUnreachable", message, 0, len(_stages(first, second)))
    living = tuple(_gone(end) if not end.reachable else end for end in (first, second))
    marks = tuple(mark for end in living for mark in (_mark(end) if dead and end.reachable else ()))
    return _progress(living[0], living[1], marks)


def _progress(first: EndState, second: EndState, marks: tuple[ClusterWrite, ...]) -> LinkProgress:
    stages = _stages(first, second)
    for number, (reason, doomed) in enumerate(stages):
        if doomed:
            left = [f"{kind.kind} {obj['metadata']['name']} of {end.name}" for end, kind, obj in doomed]
            writes = unique([*marks, *(w for end, kind, obj in doomed for w in remove(end, kind, obj))])
            message = f"waiting for {', '.join(left)} to go"
            return LinkProgress(LinkPhase.UNPEERING, reason, message, number, len(stages), writes)
    message = f"nothing is left of the link between {first.name} and {second.name}"
    return LinkProgress(LinkPhase.GONE, "Removed", message, len(stages), len(stages))


def _stages(first: EndState, second: EndState) -> list[tuple[str, list[_Doomed]]]:
    """What has to go, in order: a stage begins when the one before is gone at both ends."""
    ends = (first, second)

    def some(kind: Kind, *fields: str) -> list[_Doomed]:
        return [doomed for end in ends for doomed in _some(end, kind, *fields)]

    return [
        ("ReleasingResources", [(e, kinds.RESOURCE_SLICE, s) for e in ends for s in e.slices]),
        ("DrainingVirtualNodes", [(e, kinds.VIRTUAL_NODE, v) for e in ends for v in e.virtual_nodes]
         + some(kinds.NODE, "node")),
        ("RevokingAccess", some(kinds.IDENTITY, "identity")),
        ("RevokingAccess", some(kinds.TENANT, "tenant") + some(kinds.SECRET, "nonce", "signed_nonce")),
        ("StoppingGateways", some(kinds.GATEWAY_CLIENT, "gateway_client")),
        ("StoppingGateways", some(kinds.GATEWAY_SERVER, "gateway_server")),
        ("ReleasingAddresses", [(e, kinds.PUBLIC_KEY, k) for e in ends for k in e.public_keys]
         + some(kinds.CONFIGURATION, "configuration")),
        ("RemovingTenantNamespaces", some(kinds.NAMESPACE, "tenant_namespace")),
        ("RemovingForeignClusters", some(kinds.FOREIGN_CLUSTER, "foreign_cluster")),
    ]  # fmt: skip


def withdraw(consumer: EndState, provider: EndState) -> Step | None:
    """Take back one direction of a link that is no longer wanted; None when nothing of it is there."""
    stages: list[list[_Doomed]] = [
        [(consumer, kinds.RESOURCE_SLICE, s) for s in consumer.slices],
        [(consumer, kinds.VIRTUAL_NODE, v) for v in consumer.virtual_nodes] + _some(consumer, kinds.NODE, "node"),
        _some(consumer, kinds.IDENTITY, "identity"),
        _some(provider, kinds.TENANT, "tenant") + _some(provider, kinds.SECRET, "nonce")
        + _some(consumer, kinds.SECRET, "signed_nonce"),
    ]  # fmt: skip
    doomed = next((stage for stage in stages if stage), None)
    if doomed is None:
        return None
    writes = tuple(write for end, kind, obj in doomed for write in remove(end, kind, obj))
    return Step("WithdrawingDirection", False, f"{consumer.name} to stop using {provider.name}", writes)


def _some(end: EndState, kind: Kind, *fields: str) -> list[_Doomed]:
    found = [(end, kind, getattr(end, name)) for name in fields]
    return [(end, kind, obj) for end, kind, obj in found if obj is not None]


def _gone(end: EndState) -> EndState:
    """A dead end as if nothing were there: its objects are beyond anybody's reach."""
    empty = EndState(end.name, end.cluster_id, end.peer_id, ready=end.ready, reachable=False)
    return replace(empty, components=end.components)


def _mark(end: EndState) -> tuple[ClusterWrite, ...]:
    """Tell Liqo that the peer is gone for good, so that finalizers stop waiting for it."""
    known = end.foreign_cluster
    if known is None or annotations_of(known).get(names.UNREACHABLE) == "true":
        return ()
    status = condition(known, "APIServerStatus")
    if status is not None and status.get("status") == "Established":
        return ()
    wanted = kinds.FOREIGN_CLUSTER.new(known["metadata"]["name"], metadata={"annotations": {names.UNREACHABLE: "true"}})
    return ensure(end, known, wanted)
