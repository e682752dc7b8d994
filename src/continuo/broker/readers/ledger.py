"""Who uses how much of which node, kept up to date by single changes. Pure of I/O: told of objects, asked for sums.

A node counts with what its pods leave of it, each node by itself: what one has too little the others cannot give. The
books are in whole thousandths, since every pod that starts or ends is booked; what is asked of them is answered in amounts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from continuo.broker.readers.amounts import accepted, plus
from continuo.broker.readers.demand import asked, uses_its_node
from continuo.resources.meta import Key, Object, key_of, labels_of

CONSUMER = "continuo.dev/consumer"
"""Label of a namespace: the cluster whose pods are in it."""
LIQO_CONSUMER = "liqo.io/remote-cluster-id"

Amounts = dict[str, Fraction]
Thousandths = dict[str, int]


def consumer_of(namespace: Object) -> str:
    """The cluster whose pods are in the namespace; empty for our own."""
    labels = labels_of(namespace)
    return labels.get(CONSUMER) or labels.get(LIQO_CONSUMER) or ""


@dataclass(frozen=True, slots=True)
class _Taken:
    """What one pod takes."""

    node: str
    namespace: str
    amounts: Mapping[str, int]


@dataclass(slots=True)
class _Node:
    """One node: what it has (None: it does not count), and what of it is used by namespace."""

    has: Thousandths | None = None
    used: dict[str, Thousandths] = field(default_factory=dict)
    total: Thousandths = field(default_factory=dict)
    """Of `used`."""


class Ledger:
    """The books of one cluster."""

    def __init__(self, counts: Callable[[Object], bool]) -> None:
        self._counts = counts
        self._nodes: dict[str, _Node] = {}
        self._pods: dict[Key, _Taken] = {}
        self._consumers: dict[str, str] = {}
        self._spaces: dict[str, dict[str, int]] = {}
        """By namespace: how many pods it has on each node; none means not mentioned."""
        self._owned: dict[str, set[str]] = {}
        """By consumer: its namespaces."""
        self._free: Thousandths = {}
        """The sum over all nodes that count; kept, not computed."""
        self._names: Counter[str] = Counter()
        """How many nodes that count have each resource."""

    # --- what happens -------------------------------------------------------------------------------------------------
    def node(self, old: Object | None, new: Object | None) -> bool:
        """A node came, changed or went; whether that matters."""
        name = (new or old or {})["metadata"]["name"]
        has = None
        if new is not None and self._counts(new):
            has = _counted(accepted((new.get("status") or {}).get("allocatable")))
        state = self._nodes.get(name)
        if state is None:
            state = self._nodes[name] = _Node()
        if state.has == has:
            self._sweep(name)
            return False
        self._names.subtract(state.has or ())
        self._names.update(has or ())
        self._shift(state, lambda: setattr(state, "has", has))
        self._sweep(name)
        return True

    def pod(self, old: Object | None, new: Object | None) -> bool:
        """A pod came, changed or went; whether that matters."""
        key = key_of(new or old or {})
        before, after = self._pods.get(key), None
        if new is not None and uses_its_node(new):
            if before is not None and old is not None and old["spec"] == new["spec"]:
                return False
            after = _Taken(new["spec"]["nodeName"], key[0], asked(new["spec"]))
        if before == after:
            return False
        if before is not None:
            del self._pods[key]
            self._take(before, -1)
        if after is not None:
            self._pods[key] = after
            self._take(after, 1)
        return True

    def namespace(self, old: Object | None, new: Object | None) -> bool:
        """A namespace came, changed or went; whether somebody else's pods are in it now."""
        name = (new or old or {})["metadata"]["name"]
        before, after = self._consumers.get(name, ""), consumer_of(new) if new is not None else ""
        if before == after:
            return False
        self._owned.get(before, set()).discard(name)
        if before and not self._owned.get(before):
            self._owned.pop(before, None)
        self._consumers.pop(name, None)
        if after:
            self._consumers[name] = after
            self._owned.setdefault(after, set()).add(name)
        return True

    # --- what is so ---------------------------------------------------------------------------------------------------
    def available(self, consumer: str) -> Amounts:
        """What the consumer may use of all nodes together: what is free, and what it uses already."""
        whole = dict(self._free)
        for name, spaces in self._places_of(consumer).items():
            node = self._nodes[name]
            if node.has is not None:
                others = dict(node.total)
                for space in spaces:
                    _add(others, node.used[space], -1)
                _add(whole, _rest(node.has, others), 1)
                _add(whole, _rest(node.has, node.total), -1)
        return {name: Fraction(whole.get(name, 0), 1000) for name, nodes in self._names.items() if nodes}

    def capacity(self, node: str) -> Amounts | None:
        """What that node has in all; None when it does not count."""
        found = self._nodes.get(node)
        return None if found is None or found.has is None else _amounts(found.has)

    def usage(self, node: str) -> dict[str, Amounts]:
        """What of a node each consumer uses; under the empty name what is the cluster's own."""
        found: dict[str, Amounts] = {}
        state = self._nodes.get(node)
        for namespace, amounts in state.used.items() if state is not None else ():
            consumer = self._consumers.get(namespace, "")
            found[consumer] = plus(found.get(consumer, {}), _amounts(amounts))
        return found

    # --- the books ----------------------------------------------------------------------------------------------------
    def _places_of(self, consumer: str) -> dict[str, list[str]]:
        """By node that has pods of the consumer: the namespaces they are in."""
        found: dict[str, list[str]] = {}
        for space in self._owned.get(consumer, ()) if consumer else ():
            for node in self._spaces.get(space, ()):
                found.setdefault(node, []).append(space)
        return found

    def _take(self, taken: _Taken, sign: int) -> None:
        state = self._nodes.setdefault(taken.node, _Node())
        on = self._spaces.setdefault(taken.namespace, {})
        on[taken.node] = on.get(taken.node, 0) + sign
        if not on[taken.node]:
            del on[taken.node]
        if not on:
            del self._spaces[taken.namespace]

        if state.has is not None:
            self._free_after(state, taken.amounts, sign)
        _add(state.used.setdefault(taken.namespace, {}), taken.amounts, sign)
        _add(state.total, taken.amounts, sign)
        if taken.node not in on:
            state.used.pop(taken.namespace, None)
        self._sweep(taken.node)

    def _free_after(self, node: _Node, amounts: Mapping[str, int], sign: int) -> None:
        """What of the free sum changes when so much is taken from, or given back to, a node: those resources only."""
        for name, value in amounts.items():
            has = (node.has or {}).get(name)
            if has is not None:
                left = has - node.total.get(name, 0)
                change = max(0, left - sign * value) - max(0, left)
                self._free[name] = self._free.get(name, 0) + change

    def _shift(self, node: _Node, change: Callable[[], None]) -> None:
        """Change a node, and the sum of what is free by what that makes of a difference."""
        if node.has is not None:
            _add(self._free, _rest(node.has, node.total), -1)
        change()
        if node.has is not None:
            _add(self._free, _rest(node.has, node.total), 1)

    def _sweep(self, name: str) -> None:
        node = self._nodes.get(name)
        if node is not None and node.has is None and not node.used:
            del self._nodes[name]


def _add(to: Thousandths, more: Mapping[str, int], sign: int) -> None:
    for name, value in more.items():
        now = to.get(name, 0) + sign * value
        if now:
            to[name] = now
        else:
            to.pop(name, None)


def _rest(has: Thousandths, used: Thousandths) -> Thousandths:
    """What remains, of the resources that there are; never negative."""
    return {name: max(0, value - used.get(name, 0)) for name, value in has.items()}


def _counted(amounts: Amounts) -> Thousandths:
    return {name: int(value * 1000) for name, value in amounts.items()}


def _amounts(counted: Thousandths) -> Amounts:
    return {name: Fraction(value, 1000) for name, value in counted.items()}
