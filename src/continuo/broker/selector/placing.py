"""One pod of a consumer: it gets its place, or learns why there is none; one that runs is asked whether it still may."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from continuo.broker.policies.decisions import sentence
from continuo.broker.policies.facts import ConsumerFacts, PodFacts
from continuo.broker.selector.choosing import Chooser, Chosen, Held, Nobody
from continuo.broker.selector.decide import Budget, Later, Want, come_back, leave
from continuo.broker.selector.desk import Desk
from continuo.broker.selector.names import DECISION, home_of
from continuo.broker.selector.pods import ended, has_run, made_anew, read, wants_a_place
from continuo.broker.selector.world import PodClass
from continuo.resources.errors import ApiError, Conflict, NotFound
from continuo.resources.meta import Key, Object, annotations_of, deleting
from continuo.runtime.controller import DONE, Result

_decode = msgspec.json.Decoder(dict[str, object]).decode
_UNKNOWN = b'{"allowed":[],"removed":[]'


class Placer:
    """Reconciles pods by key. Many may run at a time: between a decision and its booking nothing is awaited."""

    def __init__(self, desk: Desk, chooser: Chooser, add: Callable[[Key], None], mover: Callable[[str], None]) -> None:
        self._desk, self._world, self._chooser = desk, desk.world, chooser
        self._add, self._mover = add, mover
        self._waiting: dict[tuple[str, PodFacts], dict[Key, None]] = {}
        self._waits_in: dict[Key, tuple[str, PodFacts]] = {}
        self._told: dict[Key, tuple[str, str]] = {}
        self._held: dict[str, dict[Key, None]] = {}
        """By the UID of a pod that is on its way out: what is to take its place."""

    async def reconcile(self, key: Key) -> Result:
        """Bring one pod one step on."""
        pod = self._desk.pods.cache.get(key)
        if pod is None or deleting(pod) or ended(pod):
            self.forget(key)
            return DONE
        id_ = self._world.consumer_id(key[0])
        if id_ is None:
            return DONE
        consumer = self._world.consumer_at(key[0])
        if wants_a_place(pod):
            if consumer is None:
                what = f"no Consumer, or more than one, has the cluster ID {id_}: declare one that has"
                return await self._refuse(key, pod, f"no provider can take this pod: {what}", _UNKNOWN)
            return await self._place(key, pod, consumer)
        if consumer is not None and pod["spec"].get("nodeName"):
            return await self._stay(key, pod, consumer)
        return DONE

    def refused(self, key: Key) -> bool:
        """Whether a pod of that name waits, and was told that nobody takes it."""
        return key in self._told

    def forget(self, key: Key) -> None:
        """The pod waits no longer."""
        self._told.pop(key, None)
        self._no_longer_waiting(key)

    def ended(self, key: Key, uid: str) -> None:
        """The pod is gone, or has run to its end: what was to take its place may."""
        self.forget(key)
        self.let_go(uid)

    def let_go(self, uid: str) -> None:
        """Nobody waits any longer for the end of the pod with that UID."""
        for waiting in self._held.pop(uid, ()):
            self._add(waiting)

    def wake(self) -> None:
        """There is more room: one of each class of waiting pods tries; the next one follows where that went well."""
        for waiting in self._waiting.values():
            first = next(iter(waiting), None)
            if first is not None:
                self._add(first)

    # --- a place ---
    async def _place(self, key: Key, pod: Object, consumer: ConsumerFacts) -> Result:
        uid = pod["metadata"]["uid"]
        if self._desk.assumed.get(key) == uid:
            return DONE
        found = self._chooser.choose(key, uid, pod, consumer)
        if isinstance(found, Nobody):
            self._wait(key, found.alike)
            return await self._refuse(key, pod, self._sentence(found.alike, found.lacking), found.alike.told)
        if isinstance(found, Held):
            self._held.setdefault(found.by, {})[key] = None
            return DONE
        return await self._bind(key, pod, found)

    async def _bind(self, key: Key, pod: Object, chosen: Chosen) -> Result:
        desk, uid = self._desk, pod["metadata"]["uid"]
        desk.assumed[key] = uid
        self._chooser.book(key, uid, pod, chosen)
        try:
            await desk.actor.bind(pod, chosen.to.node, chosen.marks(desk.now()))
        except ApiError as error:
            if desk.assumed.get(key) == uid:
                del desk.assumed[key]
                self._chooser.give_back(key, uid, chosen.move)
            if isinstance(error, Conflict | NotFound):
                return DONE  # somebody was quicker, or it is gone: the watch tells
            raise
        after = self._after(key)
        self.forget(key)
        if after is not None:
            self._add(after)
        return DONE

    async def _refuse(self, key: Key, pod: Object, message: str, told: bytes) -> Result:
        uid = pod["metadata"]["uid"]
        if self._told.get(key) == (uid, message) or _said(pod) == message:
            self._told[key] = (uid, message)
            return DONE
        answer = await self._desk.actor.refuse(pod, message, told)
        if answer is not None:
            self._told[key] = (uid, message)
            self._desk.events.record(pod, "Warning", "FailedScheduling", message, action="Scheduling")
            consumer = self._world.consumer_at(key[0])
            if consumer is not None and self._desk.ledger(consumer.name):
                self._mover(consumer.name)  # a move that waits in vain makes way for the next
        return DONE

    def _sentence(self, alike: PodClass, lacking: tuple[tuple[str, str], ...]) -> str:
        return sentence(alike.decision, lacking) if lacking else alike.sentence

    # --- waiting ---
    def _wait(self, key: Key, alike: PodClass) -> None:
        group = (alike.consumer, alike.facts)
        if self._waits_in.get(key) != group:
            self._no_longer_waiting(key)
            self._waiting.setdefault(group, {})[key] = None
            self._waits_in[key] = group

    def _after(self, key: Key) -> Key | None:
        """One that waits as this one did."""
        group = self._waits_in.get(key)
        return next((other for other in self._waiting[group] if other != key), None) if group is not None else None

    def _no_longer_waiting(self, key: Key) -> None:
        group = self._waits_in.pop(key, None)
        if group is not None:
            waiting = self._waiting[group]
            waiting.pop(key, None)
            if not waiting:
                del self._waiting[group]

    # --- pods that run ---
    async def _stay(self, key: Key, pod: Object, consumer: ConsumerFacts) -> Result:
        """Whether a bound pod may stay; what should leave goes on the list of its consumer.

        One that must leave and does not run yet goes at once: nobody misses it, so no budget has a say.
        """
        self.forget(key)
        found = self._wish(pod, consumer)
        wants, uid = self._desk.wants.setdefault(consumer.name, {}), pod["metadata"]["uid"]
        if isinstance(found, Want):
            if found.hard and made_anew(pod) and not has_run(pod):
                note = f"taken back before it ran: {found.why}"
                self._desk.events.record(pod, "Normal", "TakenBack", note, action="Moving")
                return DONE if await self._desk.actor.evict(key, uid) else Result(requeue_after=1.0)
            if found.hard and not made_anew(pod):
                note = f"{found.why}; nobody would make this pod anew, so it stays: delete it"
                self._desk.events.record(pod, "Warning", "NotAllowed", note, action="Moving")
            if wants.get(key) != (uid, found) and made_anew(pod):
                wants[key] = (uid, found)
                self._mover(consumer.name)
            return DONE
        if wants.pop(key, None) is not None:
            self._mover(consumer.name)
        return Result(requeue_after=found.seconds + 0.01) if found is not None else DONE

    def _wish(self, pod: Object, consumer: ConsumerFacts) -> Want | Later | None:
        world = self._world
        provider = world.rooms.provider_of(pod["spec"]["nodeName"])
        if provider is None:
            return self._elsewhere(pod["spec"]["nodeName"])
        facts = read(pod).facts
        decision = world.pod_class(consumer, facts).decision
        covering = world.covering(consumer, provider, facts)
        home = home_of(pod)
        if home == provider:
            home = None
        denied_for = world.steady_for(consumer, provider, facts)
        found = leave(decision, provider, home, world.policies, covering, denied_for)
        if found is None and home is not None and decision.verdict(provider) is not None:
            strict = [*covering, *world.covering(consumer, home, facts)]
            found = come_back(decision, provider, home, strict, world.steady_for(consumer, home, facts))
        return found

    def _elsewhere(self, node: str) -> Want | None:
        """No policy is about nodes that are no provider's: whoever bound the pod there went past all of them."""
        if self._desk.nodes.cache.get(("", node)) is None:
            return None  # it is gone, or not seen yet
        why = f"node {node} stands for no provider, so that no policy allows it"
        return Want("", "", False, why, True, Budget())


def _said(pod: Object) -> str | None:
    """What the pod was told before this process began."""
    text = annotations_of(pod).get(DECISION)
    if text is None:
        return None
    try:
        message = _decode(text).get("message")
    except msgspec.DecodeError:
        return None  # not ours
    return message if isinstance(message, str) else None
