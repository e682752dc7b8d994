"""What a virtual node offers: what somebody says, or what the remote cluster's nodes have together, kept as they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from continuo.federation.quantities import capacity
from continuo.federation.reflection.hub import Hub, synced
from continuo.federation.reflection.twin import VIRTUAL_NODE
from continuo.resources import kinds
from continuo.resources.meta import Object, is_true, labels_of


def counted(nodes: list[Object], label: str | None) -> list[Object]:
    """The nodes whose resources are on offer: Ready ones with the label; without a label the real ones.

    Of a cluster that has only virtual nodes, those.
    """
    if label is not None:
        chosen = [node for node in nodes if label in labels_of(node)]
    else:
        chosen = [node for node in nodes if VIRTUAL_NODE not in labels_of(node)] or nodes
    return [node for node in chosen if is_true(node, "Ready")]


def matters(node: Object | None) -> object:
    """All of a node that decides what it adds; most of what nodes say is that they are alive."""
    if node is None:
        return None
    return (node.get("status") or {}).get("allocatable"), is_true(node, "Ready"), labels_of(node)


class Offer:
    """The offer of one node. `fixed` amounts are never changed; `changed` is called whenever it may be another one."""

    def __init__(
        self, remote: Hub, fixed: Mapping[str, str], label: str | None, changed: Callable[[], None],
        told: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._fixed, self._label, self._changed, self._told = dict(fixed), label, changed, told
        self._nodes = remote.all_of(kinds.NODE)
        self._known: dict[str, str] | None = None

    async def start(self) -> None:
        """Return when the remote's nodes are known; they are followed from then on."""
        await synced((self._nodes,))
        self._nodes.follow(self._node)

    async def close(self) -> None:
        """Follow no more."""
        await self._nodes.close()

    def tell(self, resources: Mapping[str, str] | None) -> None:
        """Offer this from now on; None: what the nodes have."""
        self._told = resources
        self._changed()

    @property
    def now(self) -> dict[str, str]:
        """Amounts by resource."""
        if self._told is not None:
            return dict(self._told)
        if self._known is None:
            self._known = capacity(counted(self._nodes.all(), self._label))
        return {**self._known, **self._fixed}

    def _node(self, old: Object | None, new: Object | None) -> None:
        if matters(old) != matters(new):
            self._known = None
            self._changed()
