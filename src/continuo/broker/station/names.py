"""What the station writes, and by what it knows it again."""

from __future__ import annotations

MANAGER = "continuo-station"
FINALIZER = "continuo.dev/virtual-nodes"
"""Of a Provider, Consumer or Aggregate: virtual nodes are to be taken away before it goes."""
BROKER = "continuo.dev/broker"
"""Label of a consumer's virtual node: the broker that it stands for."""
ENTERED = "continuo.dev/entered-with"
"""Annotation of a Provider or Consumer: the Secret by which its cluster was entered, so that it can be left as well."""
KEPT = "continuo.dev/kept-by"
"""Label of a provider's node in the broker's cluster that is ours to take away: anybody may make one by hand."""
STATION = "station"
REGION = "topology.kubernetes.io/region"
