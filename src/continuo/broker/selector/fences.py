"""Which providers Aggregates leave to which pods: the opaque way of a broker beside its transparent one.

A pod that came through the node of an Aggregate goes to that Aggregate's providers only. A pod that does not say through
which node it came, as real Liqo's do not, goes to those of any Aggregate of its consumer, if there are some. One that came
through another node of ours came the transparent way. Policies hold for all of them besides.

A node that several name is the oldest one's, and the broker's own before all: who has not got the node has no say about the
pods that come through it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from continuo.broker.policies.compiled import selects
from continuo.broker.policies.decisions import AGGREGATE, Decision
from continuo.broker.policies.facts import ProviderFacts
from continuo.broker.policies.verdicts import Removal, Verdict
from continuo.federation.reflection.twin import THROUGH
from continuo.resources.broker import AggregateSpec, Selector, decode_spec
from continuo.resources.errors import Invalid
from continuo.resources.meta import Object

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fence:
    """What is left to some pods: the providers of these Aggregates."""

    names: tuple[str, ...]
    providers: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Aggregate:
    """One Aggregate. One that cannot be read has no selector, and so no providers."""

    consumer: str
    node: str
    age: tuple[str, str]
    """When it was made, and its name: less is older."""
    selector: Selector | None
    providers: frozenset[str]

    def selects(self, provider: ProviderFacts) -> bool:
        return self.selector is not None and selects(self.selector, provider.name, provider.labels)


class Fences:
    """All Aggregates of a broker, with the providers that they mean by now.

    `node` is what the broker's own node is called at consumers that do not say.
    """

    def __init__(self, node: str = "broker") -> None:
        self._node = node
        self._own: dict[str, str] = {}
        """By consumer that says so: what the broker's own node is called there."""
        self._aggregates: dict[str, _Aggregate] = {}
        self._by_node: dict[tuple[str, str], Fence] = {}
        self._any: dict[str, Fence] = {}

    def aggregate(self, name: str, obj: Object | None, providers: Collection[ProviderFacts]) -> set[tuple[str, str]]:
        """An Aggregate came, changed or went; returns the pairs of consumer and provider for which that matters."""
        before = self._aggregates.pop(name, None)
        after = _read(name, obj) if obj is not None else None
        if after is not None:
            chosen = frozenset(provider.name for provider in providers if after.selects(provider))
            after = self._aggregates[name] = replace(after, providers=chosen)
        if before == after:
            return set()
        parties = {each.consumer for each in (before, after) if each is not None}
        for consumer in parties:
            self._draw(consumer)
        return {(consumer, provider.name) for consumer in parties for provider in providers}

    def consumer(self, name: str, obj: Object | None, providers: Collection[ProviderFacts]) -> set[tuple[str, str]]:
        """A Consumer came, changed or went; returns the pairs for which it matters what its own node is called."""
        before = self._own.pop(name, self._node)
        node = ((obj or {}).get("spec") or {}).get("node")
        if node:
            self._own[name] = str(node)
        if self._own.get(name, self._node) == before or name not in self._any:
            return set()
        self._draw(name)
        return {(name, provider.name) for provider in providers}

    def provider(self, name: str, facts: ProviderFacts | None) -> set[tuple[str, str]]:
        """A Provider came, changed or went; returns the pairs for which its place in an Aggregate changed."""
        touched: set[tuple[str, str]] = set()
        for key, one in self._aggregates.items():
            inside = facts is not None and one.selects(facts)
            if inside == (name in one.providers):
                continue
            members = one.providers | {name} if inside else one.providers - {name}
            self._aggregates[key] = replace(one, providers=members)
            touched.add((one.consumer, name))
        for consumer, _ in touched:
            self._draw(consumer)
        return touched

    def around(self, consumer: str, labels: Iterable[tuple[str, str]]) -> Fence | None:
        """The fence around the pods of a consumer with these labels; None: there is none."""
        whole = self._any.get(consumer)
        if whole is None:
            return None
        node = next((value for name, value in labels if name == THROUGH), None)
        return whole if node is None else self._by_node.get((consumer, node))

    def _draw(self, consumer: str) -> None:
        """Find the fences of one consumer anew."""
        own = {name: one for name, one in sorted(self._aggregates.items()) if one.consumer == consumer}
        for key in [key for key in self._by_node if key[0] == consumer]:
            del self._by_node[key]
        self._any.pop(consumer, None)
        has = self._owners(own, self._own.get(consumer, self._node))
        if own:
            self._any[consumer] = _together(has or own)
        for name, one in has.items():
            self._by_node[consumer, one.node] = _together({name: one})

    @staticmethod
    def _owners(own: Mapping[str, _Aggregate], taken: str) -> dict[str, _Aggregate]:
        """Those of a consumer's aggregates that have the node that they name."""
        first: dict[str, tuple[str, str]] = {}
        for one in own.values():
            first[one.node] = min(first.get(one.node, one.age), one.age)
        return {name: one for name, one in own.items() if one.node != taken and one.age == first[one.node]}


def _together(aggregates: Mapping[str, _Aggregate]) -> Fence:
    return Fence(tuple(aggregates), frozenset().union(*(one.providers for one in aggregates.values())))


def _read(name: str, obj: Object) -> _Aggregate:
    age = str(obj["metadata"].get("creationTimestamp", "")), name
    try:
        spec = decode_spec(obj, AggregateSpec)
    except Invalid as error:
        log.warning("aggregate %s cannot be used, and its pods get no place: %s", name, error)
        said = obj.get("spec") or {}
        return _Aggregate(str(said.get("consumer", "")), str(said.get("node") or name), age, None, frozenset())
    return _Aggregate(spec.consumer, spec.node or name, age, spec.providers, frozenset())


def fenced(decision: Decision, fence: Fence) -> Decision:
    """The decision with everybody outside the fence removed; pure."""
    outside = _outside(fence)

    def removed(verdict: Verdict) -> Verdict:
        if verdict.provider in fence.providers:
            return verdict
        return replace(verdict, removals=(outside, *verdict.removals))

    allowed = tuple(verdict for verdict in decision.allowed if verdict.provider in fence.providers)
    others = (*decision.removed, *(verdict for verdict in decision.allowed if verdict.provider not in fence.providers))
    gone = tuple(removed(verdict) for verdict in sorted(others, key=lambda verdict: verdict.provider))
    return replace(decision, allowed=allowed, removed=gone)


def _outside(fence: Fence) -> Removal:
    names = ", ".join(fence.names)
    what = f"Aggregate {names}, through whose node" if len(fence.names) == 1 else f"Aggregates {names}, through which"
    return Removal("", AGGREGATE, names, f"it is not behind {what} the pod came")
