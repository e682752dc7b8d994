"""What the selector knows: facts, policies, rooms, and since when which provider is allowed for whom.

Fed by informers, one object at a time; every change says which pairs of consumer and provider it touches, so that only pods
of those are looked at again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from continuo.broker.aggregate.topology import REGION, ZONE, Placed, Spot
from continuo.broker.policies.compiled import Policy, compile_policy
from continuo.broker.policies.decisions import Decision, consider, explanation, sentence
from continuo.broker.policies.facts import ConsumerFacts, PodFacts, ProviderFacts, consumer_facts, provider_facts
from continuo.broker.policies.verdicts import Judge, Verdict
from continuo.broker.selector.fences import Fence, Fences, fenced
from continuo.broker.selector.names import consumer_of
from continuo.broker.selector.rooms import Room, Rooms
from continuo.broker.selector.whereabouts import Whereabouts
from continuo.resources.errors import Invalid
from continuo.resources.meta import Key, Object

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
CLASSES = 20_000
"""Classes of pods that are remembered; beyond it all are forgotten and found anew."""


@dataclass(slots=True)
class PodClass:
    """Pods of one consumer that are alike, and what was decided about them."""

    consumer: str
    facts: PodFacts
    decision: Decision
    told: bytes
    """The explanation as JSON, without its closing brace."""
    sentence: str
    epoch: int
    fence: Fence | None = None
    """What Aggregates leave of the providers to these pods."""


Pair = tuple[str, str]
"""Names of a consumer and of a provider."""


LATENCY_TO = "latency_to_"
"""Beginning of the name of a measured value: the latency to another provider, in milliseconds; its name follows."""


def latencies(providers: Mapping[str, ProviderFacts]) -> dict[Pair, float]:
    """What was measured between providers; a name that a measured value cannot have has `_` in place of `-` and `.`."""
    spelled = {LATENCY_TO + name.replace("-", "_").replace(".", "_"): name for name in providers}
    return {
        (one.name, spelled[name]): found.value
        for one in providers.values()
        for name, found in one.measured.items()
        if name in spelled
    }


class World:
    """Facts by name, and the decisions that follow from them."""

    def __init__(self, now: Callable[[], float], node: str = "broker") -> None:
        self.rooms = Rooms()
        self.fences = Fences(node)
        self._whereabouts = Whereabouts()
        self.providers: dict[str, ProviderFacts] = {}
        self.consumers: dict[str, ConsumerFacts] = {}
        self.policies: dict[str, Policy] = {}
        self.judge = Judge(())
        self._now = now
        self._by_id: dict[str, str] = {}
        self._consumer_in: dict[str, str] = {}
        self._namespaces: dict[str, set[str]] = {}
        self._effects: dict[Pair, Verdict | None] = {}
        self._steady: dict[tuple[str, str, PodFacts | Fence | None], tuple[bool, float]] = {}
        self._classes: dict[tuple[str, PodFacts], PodClass] = {}
        self._epoch = 0
        self._topology: tuple[int, int, dict[str, Spot], dict[Pair, float]] | None = None
        self.fresh: list[PodClass] = []
        """Decisions that were found anew, for whoever sets the clock by them; taken away by them."""

    # --- whose is what ---
    def namespace(self, name: str, obj: Object | None) -> str | None:
        """A namespace came, changed or went; returns the consumer's ID that it belongs to now."""
        found = consumer_of(obj) if obj is not None else None
        before = self._consumer_in.pop(name, None)
        if before is not None and before != found:
            self._namespaces[before].discard(name)
        if found != before:
            self._epoch += 1
        if found is not None:
            self._consumer_in[name] = found
            self._namespaces.setdefault(found, set()).add(name)
        return found

    def consumer_id(self, namespace: str) -> str | None:
        """The ID of the consumer whose workloads are in a namespace."""
        return self._consumer_in.get(namespace)

    def consumer_at(self, namespace: str) -> ConsumerFacts | None:
        """The Consumer whose workloads are in a namespace; None: nobody's, or one that the broker does not know."""
        name = self._by_id.get(self._consumer_in.get(namespace, ""))
        return self.consumers.get(name) if name is not None else None

    def namespaces_of(self, consumer: str) -> list[str]:
        """The namespaces with a Consumer's workloads."""
        facts = self.consumers.get(consumer)
        return sorted(self._namespaces.get(facts.id, ())) if facts is not None else []

    def namespaces_with(self, id_: str) -> list[str]:
        """The namespaces with the workloads of the cluster of that ID."""
        return sorted(self._namespaces.get(id_, ()))

    # --- who is where ---
    def book(self, key: Key, uid: str, node: str, pod: Object, asked: Mapping[str, int] | None = None) -> None:
        """A pod is, or will be, on that node."""
        if self.rooms.book(key, uid, node, pod["spec"], asked):
            self._whereabouts.put(key, uid, node, pod)

    def rename(self, key: Key, uid: str, now: str) -> None:
        """A pod that was booked before it had a UID has one."""
        self.rooms.rename(key, uid, now)
        self._whereabouts.rename(key, uid, now)

    def holds(self, alike: PodClass) -> bool:
        """Whether what was decided about a class would be decided now."""
        return alike.epoch == self._epoch and self._now() < alike.decision.until

    def release(self, key: Key, uid: str) -> bool:
        """It is gone, has ended, or did not come; True when that made room."""
        self._whereabouts.drop(key, uid)
        return self.rooms.release(key, uid)

    def placed(self, namespace: str) -> Placed:
        """Where the pods of a namespace are, as far as topology minds."""
        known = self._topology
        if known is None or known[:2] != (self.rooms.version, self._epoch):
            spots = {room.name: self._spot(room) for room in self.rooms.all()}
            known = self._topology = (self.rooms.version, self._epoch, spots, latencies(self.providers))
        return Placed(self._whereabouts.of(namespace), known[2], known[3])

    def _spot(self, room: Room) -> Spot:
        there = self.providers.get(room.provider)
        region = room.labels.get(REGION) or (there.values["region"] if there is not None else "")
        return Spot(room.name, room.provider, room.labels.get(ZONE, ""), region)

    # --- facts ---
    def provider(self, name: str, obj: Object | None) -> list[Pair]:
        """A Provider came, changed or went; returns the pairs for which that has an effect."""
        self._epoch += 1
        self.providers.pop(name, None)
        if obj is not None:
            try:
                self.providers[name] = provider_facts(obj)
            except (Invalid, ValueError) as error:
                log.warning("provider %s cannot be used: %s", name, error)
        if name not in self.providers:
            self.judge.forget(name)
        fenced_in_or_out = self.fences.provider(name, self.providers.get(name))
        return list({*self.effects((consumer, name) for consumer in self.consumers), *fenced_in_or_out})

    def aggregate(self, name: str, obj: Object | None) -> list[Pair]:
        """An Aggregate came, changed or went; returns the pairs for which that has an effect."""
        touched = self.fences.aggregate(name, obj, self.providers.values())
        if touched:
            self._epoch += 1
        return list(touched)

    def consumer(self, name: str, obj: Object | None) -> list[Pair]:
        """A Consumer came, changed or went; returns the pairs for which that has an effect."""
        moved = self.fences.consumer(name, obj, self.providers.values())
        self._epoch += bool(moved)
        before = self.consumers.pop(name, None)
        facts: ConsumerFacts | None = None
        if obj is not None:
            try:
                facts = consumer_facts(obj)
            except Invalid as error:
                log.warning("consumer %s cannot be used: %s", name, error)
        if before is not None and facts is not None and before.identity == facts.identity:
            self.consumers[name] = before  # only its status changed, or what policies do not ask for
            return list(moved)
        self._epoch += 1
        if facts is not None:
            self.consumers[name] = facts
        else:
            self.judge.forget(name)
        self._by_id = self._identified()
        return list({*self.effects((name, provider) for provider in self.providers), *moved})

    def _identified(self) -> dict[str, str]:
        """Consumers by ID. An ID that two of them claim is nobody's: neither may be taken for the other."""
        found: dict[str, list[str]] = {}
        for name, facts in self.consumers.items():
            found.setdefault(facts.id, []).append(name)
        for id_, names in found.items():
            if len(names) > 1:
                log.warning("consumers %s have the same cluster ID %s: none of them is served", ", ".join(names), id_)
        return {id_: names[0] for id_, names in found.items() if len(names) == 1}

    def policy(self, name: str, obj: Object | None) -> list[Pair]:
        """A BrokerPolicy came, changed or went; returns the pairs for which that has an effect."""
        before = self.policies.get(name)
        if before is not None and obj is not None and before.same(obj):
            return []
        self.policies.pop(name, None)
        if obj is not None:
            self.policies[name] = compile_policy(obj)
        self._epoch += 1
        self.judge = Judge(self.policies.values(), self.judge)
        touched = [policy for policy in (before, self.policies.get(name)) if policy is not None]
        return self.effects(
            (c.name, p.name)
            for c in self.consumers.values()
            for p in self.providers.values()
            if any(policy.covers(c, p) for policy in touched)
        )

    def effects(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Judge these pairs anew; returns those of which pods have to be looked at again."""
        changed, now = [], self._now()
        for pair in pairs:
            verdict = self._pair(pair, now)
            known = self._effects.get(pair)
            if pair in self._effects and verdict is not None and known is not None and verdict.same_effect(known):
                self._effects[pair] = verdict
                continue
            if pair[0] in self.consumers and pair[1] in self.providers:
                self._effects[pair] = verdict
            else:
                self._effects.pop(pair, None)
            if verdict is not None:
                self._note(pair, None, verdict.allowed, now)
            changed.append(pair)
        return changed

    def _pair(self, pair: Pair, now: float) -> Verdict | None:
        """The verdict for all pods alike; None where it depends on the pod, or one of the two is gone."""
        consumer, provider = self.consumers.get(pair[0]), self.providers.get(pair[1])
        if consumer is None or provider is None or self.judge.asks_for_pods(consumer, provider):
            return None
        return self.judge.verdict(consumer, provider, None, now)

    def until(self, consumer: str, provider: str) -> float:
        """When the verdict on a pair has to be found anew because its data is too old by then."""
        verdict = self._effects.get((consumer, provider))
        return verdict.until if verdict is not None else math.inf

    # --- decisions ---
    def pod_class(self, consumer: ConsumerFacts, facts: PodFacts) -> PodClass:
        """What is decided about pods like this one; found anew only when something changed, or data grew too old."""
        key, now = (consumer.name, facts), self._now()
        known = self._classes.get(key)
        if known is not None and self.holds(known):
            return known
        decision = consider(self.judge, consumer, self.providers.values(), facts, now)
        fence = self.fences.around(consumer.name, facts.labels)
        if fence is not None:
            decision = fenced(decision, fence)
        for verdict in (*decision.allowed, *decision.removed):
            asking = facts if self._asks(consumer, verdict.provider) else fence
            self._note((consumer.name, verdict.provider), asking, verdict.allowed, now)
        if len(self._classes) >= CLASSES:
            self._classes.clear()
        told = _encode(explanation(decision))[:-1]
        found = PodClass(consumer.name, facts, decision, told, sentence(decision), self._epoch, fence)
        self._classes[key] = found
        self.fresh.append(found)
        return found

    def covering(self, consumer: ConsumerFacts, provider: str, facts: PodFacts) -> list[Policy]:
        """The policies that are about these pods at a provider."""
        there = self.providers.get(provider)
        if there is None:
            return []
        return [policy for policy in self.judge.covering(consumer, there) if policy.covers_pod(facts)]

    def steady_for(self, consumer: ConsumerFacts, provider: str, facts: PodFacts) -> float:
        """For how many seconds the provider has been allowed, or denied, without a break."""
        pair = (consumer.name, provider)
        asking = facts if self._asks(consumer, provider) else self.fences.around(consumer.name, facts.labels)
        known = self._steady.get((*pair, asking))
        if known is None:
            return 0.0
        alike = self._steady.get((*pair, None), known)  # noted sooner where nothing but policies changed
        return self._now() - max(known[1], alike[1])

    def _asks(self, consumer: ConsumerFacts, provider: str) -> bool:
        there = self.providers.get(provider)
        return there is not None and self.judge.asks_for_pods(consumer, there)

    def _note(self, pair: Pair, about: PodFacts | Fence | None, allowed: bool, now: float) -> None:
        key = (*pair, about)
        known = self._steady.get(key)
        if known is None or known[0] != allowed:
            if len(self._steady) >= CLASSES * 4:
                self._steady.clear()
            self._steady[key] = (allowed, now)
