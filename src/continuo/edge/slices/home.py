"""What a slice has in its buyer's cluster besides the node: the namespace whose pods may go there, and its end.

Each step is derived from the cluster and may be done again by whoever takes over.
"""

from __future__ import annotations

import contextlib
import re

from continuo.edge.slices import terms
from continuo.edge.slices.terms import MANAGER, SLICE, SPACE
from continuo.federation.names import REMOTE_CLUSTER_ID
from continuo.federation.reflection.node import LEASES
from continuo.kube.port import Cluster
from continuo.kube.sweep import delete_all
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, BadRequest, Forbidden, NotFound
from continuo.resources.kinds import FLUIDOS_CONTRACT, SOLVER
from continuo.resources.meta import Object, annotations_of, deleting

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


async def ensure(home: Cluster, contract: Object, trade: str) -> str:
    """The namespace of the slice, made if nobody named one. What was decided once stays. Raises BadRequest."""
    named = annotations_of(contract).get(SPACE) or await _named(home, contract)
    space = named or terms.node_of(contract)
    if not _NAME.fullmatch(space):
        raise BadRequest(f"the annotation {SPACE} is {space!r:.80}, which is no name of a namespace")
    if space == trade or space.startswith("kube-"):
        raise BadRequest(
            f"the annotation {SPACE} names {space}, whose Secrets are nothing for a seller: name a namespace of "
            "applications"
        )
    try:
        found = await home.get(kinds.NAMESPACE, space)
    except NotFound:
        found = await _make(home, contract, space)
    if deleting(found):
        raise BadRequest(f"namespace {space} is being deleted, so nothing of it goes to the slice")
    if annotations_of(contract).get(SPACE) != space:
        meta = contract["metadata"]
        note = {"metadata": {"uid": meta["uid"], "annotations": {SPACE: space}}}
        await home.patch(FLUIDOS_CONTRACT, meta["name"], note, meta["namespace"], manager=MANAGER)
    return space


async def _named(home: Cluster, contract: Object) -> str:
    """What the Solver says of it, for which the contract was made."""
    for owner in contract["metadata"].get("ownerReferences") or ():
        if owner.get("kind") == SOLVER.kind:
            with contextlib.suppress(NotFound):
                solver = await home.get(SOLVER, owner["name"], contract["metadata"]["namespace"])
                return annotations_of(solver).get(SPACE, "")
    return ""


async def _make(home: Cluster, contract: Object, space: str) -> Object:
    labels = {SLICE: terms.mark(contract), "app.kubernetes.io/managed-by": "continuo"}
    try:
        return await home.create(kinds.NAMESPACE.new(space, metadata={"labels": labels}), manager=MANAGER)
    except AlreadyExists:
        return await home.get(kinds.NAMESPACE, space)


async def way(home: Cluster, seller: str) -> str:
    """How pods of the slice are reached from here."""
    if seller:
        with contextlib.suppress(NotFound, Forbidden):
            if (await home.list(kinds.CONFIGURATION, labels=f"{REMOTE_CLUSTER_ID}={seller}")).items:
                return "their addresses are those of Liqo's network"
    return "no Liqo network leads there, only what the clusters' own networks share"


async def sweep(home: Cluster, contract: Object) -> str:
    """Take away what is ours; what is still to be waited for, nothing when all is gone.

    The node goes first, so that nothing more comes to it; of its pods nobody will hear again.
    """
    node = terms.node_of(contract)
    with contextlib.suppress(NotFound):
        found = await home.get(kinds.NODE, node)
        if not terms.is_of(found, contract):
            return await _sweep_space(home, contract)
        await home.delete(kinds.NODE, node, uid=found["metadata"]["uid"])
    pods = (await home.list(kinds.POD, fields=f"spec.nodeName={node}")).items
    await delete_all(home, kinds.POD, pods, grace=0)
    with contextlib.suppress(NotFound):
        await home.delete(kinds.LEASE, node, LEASES)
    left = await _sweep_space(home, contract)
    return f"{len(pods)} pods of node {node} are being removed" if pods else left


async def _sweep_space(home: Cluster, contract: Object) -> str:
    """The namespace, if it was made for the contract."""
    space = annotations_of(contract).get(SPACE) or terms.node_of(contract)
    try:
        found = await home.get(kinds.NAMESPACE, space)
    except NotFound:
        return ""
    if not terms.is_of(found, contract):
        return ""
    if not deleting(found):
        with contextlib.suppress(NotFound):
            await home.delete(kinds.NAMESPACE, space, uid=found["metadata"]["uid"])
    return f"namespace {space}, which was made for the contract, is being removed"
