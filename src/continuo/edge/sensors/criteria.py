"""What somebody asks of a flavor, whichever way it was said: one condition over named fields.

The fields of a sensor: uid, name, node, model, manufacturer, market, category (text), type (any of the quantities or the
category), samplingRate (Hz), latency (ms), consumption (mW), accuracy. Those of a K8Slice: architecture (text), cpu,
memory, pods, storage (quantities). A flavor that lacks a field matches no comparison with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from continuo.edge.sensors.model import SENSOR
from continuo.expressions.tree import Const, Node


@dataclass(frozen=True, slots=True)
class Criteria:
    """A condition on the flavors of one type; without one, all of them. Made by `filters`, `query` and `where`."""

    flavor_type: str = SENSOR
    condition: Node = Const(True)  # noqa: RUF009 - frozen
