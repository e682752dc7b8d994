"""What a cluster has left: without what runs there, and without what is sold, whether it is used already or not.

What was sold is a namespace with a quota that Continuo put there: all requests that it allows are promised, and what its pods
ask for is part of them. How many pods it allows promises nothing: a plan that says nothing of pods is bounded, too.
Single changes in, sums out, no I/O.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping
from typing import TypeAlias

from continuo.federation.requests import requests_of, thousandths
from continuo.resources.meta import Key, Object, key_of
from continuo.resources.reflected import GONE_PHASES

SOLD = "app.kubernetes.io/managed-by=continuo"
"""Quotas that are promises; those of others are bounds."""
_POD = 1000
_ASKED = "requests."
Thousandths: TypeAlias = dict[str, int]


class Tally:
    """What pods ask for and what quotas promise, by namespace."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], Thousandths] = defaultdict(lambda: defaultdict(int))
        """By namespace and node."""
        self._promised: dict[Key, Thousandths] = {}

    def see_pod(self, old: Object | None, new: Object | None) -> None:
        """A pod came, changed or went."""
        for pod, sign in ((old, -1), (new, 1)):
            node = pod["spec"].get("nodeName") if pod is not None else None
            if pod is None or not node or (pod.get("status") or {}).get("phase") in GONE_PHASES:
                continue
            used = self._used[pod["metadata"]["namespace"], node]
            for resource, amount in {"pods": _POD, **requests_of(pod["spec"])}.items():
                used[resource] += sign * amount
            if not any(used.values()):
                del self._used[pod["metadata"]["namespace"], node]

    def see_quota(self, old: Object | None, new: Object | None) -> None:
        """Something was sold, changed or ended."""
        if new is None:
            if old is not None:
                self._promised.pop(key_of(old), None)
            return
        hard = (new.get("spec") or {}).get("hard") or {}
        self._promised[key_of(new)] = {
            name.removeprefix(_ASKED): thousandths(text) for name, text in hard.items() if name.startswith(_ASKED)
        }

    def taken(self, nodes: Container[str]) -> Mapping[str, int]:
        """What is not to be had any more of what these nodes can run, in thousandths."""
        spaces: dict[str, Thousandths] = defaultdict(lambda: defaultdict(int))
        for (space, node), used in self._used.items():
            if node in nodes:
                for resource, amount in used.items():
                    spaces[space][resource] += amount
        for (space, _), promised in self._promised.items():
            for resource, amount in promised.items():
                spaces[space][resource] = max(spaces[space][resource], amount)
        total: Thousandths = defaultdict(int)
        for amounts in spaces.values():
            for resource, amount in amounts.items():
                total[resource] += amount
        return total
