"""What a link left behind, where the fleet cannot take it away: one end is gone, or nobody else cleans up there.

Each call deletes what it sees and says whether that was nothing; it is called again until it is.
"""

from __future__ import annotations

from continuo.broker.contracts.terms import is_of, word
from continuo.federation.reflection.node import LEASES
from continuo.federation.reflection.objects import KINDS
from continuo.federation.reflection.spaces import CONSUMER
from continuo.federation.reflection.twin import ORIGIN, THROUGH
from continuo.federation.reflection.vacated import Vacated
from continuo.kube.port import Cluster
from continuo.kube.sweep import delete_all
from continuo.resources import kinds
from continuo.resources.errors import NotFound
from continuo.resources.meta import Object, deleting, key_of, labels_of


async def sweep_home(home: Cluster, node: str, contract: str) -> bool:
    """The node of a contract whose provider is gone: with its pods, which nobody will ever hear of again."""
    try:
        found = await home.get(kinds.NODE, node)
    except NotFound:
        return True
    if not is_of(found, contract):
        return True
    pods = (await home.list(kinds.POD, fields=f"spec.nodeName={node}")).items
    await delete_all(home, kinds.POD, pods, grace=0)
    await delete_all(home, kinds.LEASE, [kinds.LEASE.new(node, LEASES)])
    await delete_all(home, kinds.NODE, [found])
    return False


async def sweep_remote(remote: Cluster, node: str, consumer: str) -> bool:
    """What a consumer who is gone has at the provider through a node."""
    spaces = {space["metadata"]["name"] for space in await _spaces(remote, consumer)}
    empty = True
    for kind in (kinds.POD, *KINDS):
        found = (await remote.list(kind, labels=f"{ORIGIN},{THROUGH}={node}")).items
        own = [obj for obj in found if key_of(obj)[0] in spaces]
        await delete_all(remote, kind, own)
        empty = empty and not own
    return empty


async def sweep_spaces(remote: Cluster, consumer: str) -> bool:
    """The consumer's namespaces at the provider in which nothing is left; reflections make them anew."""
    spaces = await _spaces(remote, consumer)
    content = [await Vacated(remote, labels_of(space)[ORIGIN]).content(space["metadata"]["name"]) for space in spaces]
    empty = [space for space, found in zip(spaces, content, strict=True) if found is None]
    await delete_all(remote, kinds.NAMESPACE, [space for space in empty if not deleting(space)])
    return not empty


async def _spaces(remote: Cluster, consumer: str) -> list[Object]:
    found = (await remote.list(kinds.NAMESPACE, labels=f"{ORIGIN},{CONSUMER}={word(consumer)}")).items
    return [space for space in found if labels_of(space).get(ORIGIN)]
