"""How many readings a second were sold of each edge node: KubeEdge sends no more to the cloud than it is configured to.

What is beyond waits on the edge, ever longer, and no promised latency holds. A reading leaves the edge once, however many
have bought it.
"""

from __future__ import annotations

from decimal import Decimal

from continuo.edge.discovery.flavors import NODE
from continuo.edge.rear import holds
from continuo.edge.rear.refusals import Refusal
from continuo.edge.sensors.model import BadSensor
from continuo.edge.sensors.reading import sensor_of_flavor
from continuo.resources.meta import Key, Object, key_of, labels_of

_NONE = Decimal(0)


class Budget:
    """Sums by node, kept with every change of a Flavor."""

    def __init__(self) -> None:
        self._sold: dict[Key, tuple[str, Decimal]] = {}
        self._sums: dict[str, Decimal] = {}

    def put(self, flavor: Object) -> set[str]:
        """Take in a Flavor; returns the nodes whose sums changed."""
        key, now = key_of(flavor), _sold(flavor)
        if self._sold.get(key) == now:
            return set()
        touched = self.drop(key)
        if now is not None:
            node, rate = self._sold[key] = now
            self._sums[node] = self._sums.get(node, _NONE) + rate
            touched.add(node)
        return touched

    def drop(self, key: Key) -> set[str]:
        """Forget a Flavor; returns the nodes whose sums changed."""
        before = self._sold.pop(key, None)
        if before is None:
            return set()
        node, rate = before
        self._sums[node] -= rate
        if not self._sums[node]:
            del self._sums[node]
        return {node}

    def sold(self, node: str) -> Decimal:
        """Readings a second that somebody bought of sensors behind a node (its label's value)."""
        return self._sums.get(node, _NONE)

    def sells(self, key: Key) -> bool:
        """Whether somebody bought readings of a Flavor."""
        return key in self._sold


def _sold(flavor: Object) -> tuple[str, Decimal] | None:
    """The node and the rate of a sensor, if it is sold."""
    node = labels_of(flavor).get(NODE)
    try:
        if not node or not any(hold.contract for hold in holds.read(flavor).values()):
            return None
        return node, sensor_of_flavor(flavor).sampling_rate or _NONE
    except (Refusal, BadSensor):
        return None  # said elsewhere, by those who keep the one and the other
