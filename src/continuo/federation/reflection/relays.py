"""Reflections of one process that lead on from each other, so that the first can look through to the last.

In a chain every hop tells the one before what it was told. Where one process has all of them, the consumer need not wait for
the broker's record to be written: what that is going to say can be computed. The consumer is told at once, and the record
in between follows when nobody waits for anything.
"""

from __future__ import annotations

from typing import Protocol

from continuo.federation.reflection.records import Calm
from continuo.federation.reflection.twin import ORIGIN, THROUGH
from continuo.resources.meta import Object, labels_of


class Relay(Protocol):
    """The pods of one node, as others in the process see them."""

    def preview(self, pod: Object) -> Object:
        """A pod of the node as it will be when what is known of it has been written."""
        ...

    def copy_moved(self, copy: Object) -> None:
        """What is known of a copy has changed before its cluster says so."""
        ...


class Relays:
    """Who reflects what, in this process."""

    def __init__(self) -> None:
        self.calm = Calm()
        self._by_node: dict[tuple[str, str], Relay] = {}
        self._by_marks: dict[tuple[str, str], Relay] = {}

    def enter(self, origin: str, node: str, cluster: str, relay: Relay) -> None:
        """A reflection begins: of that home cluster (by identity and by name) and node."""
        self._by_node[cluster, node] = relay
        self._by_marks[origin, node] = relay

    def leave(self, origin: str, node: str, cluster: str) -> None:
        """It has ended."""
        self._by_node.pop((cluster, node), None)
        self._by_marks.pop((origin, node), None)

    def onward(self, cluster: str, pod: Object) -> Relay | None:
        """Who reflects a pod of a cluster further."""
        return self._by_node.get((cluster, pod["spec"].get("nodeName") or ""))

    def before(self, pod: Object) -> Relay | None:
        """Who made a pod, if it is a copy of this process."""
        labels = labels_of(pod)
        origin = labels.get(ORIGIN)
        return self._by_marks.get((origin, labels.get(THROUGH, ""))) if origin is not None else None
