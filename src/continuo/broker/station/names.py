"""What the station writes, and by what it knows it again."""

from __future__ import annotations

MANAGER = "continuo-station"
FINALIZER = "continuo.dev/virtual-nodes"
"""Of a Provider, Consumer or Aggregate: virtual nodes are to be taken away before it goes."""
BROKER = "continuo.dev/broker"
"""Label of a consumer's virtual node: the broker that it stands for."""
REGION = "topology.kubernetes.io/region"
