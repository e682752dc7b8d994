"""Pods that have to leave a provider, and pods that return: within a budget that is written down before anything happens."""

from __future__ import annotations

import logging

from continuo.broker.selector.decide import Place, Want, place
from continuo.broker.selector.desk import Desk
from continuo.broker.selector.moves import Candidate, Seen, begin, over
from continuo.broker.selector.names import MOVE
from continuo.broker.selector.placing import Placer
from continuo.broker.selector.pods import is_ready, read, workload_of
from continuo.resources.broker import Moving
from continuo.resources.meta import Object, annotations_of, deleting
from continuo.runtime.controller import DONE, Result

log = logging.getLogger(__name__)
LOOK_AGAIN = 15.0
"""Seconds after which a move that is on is looked at even if nothing was heard of it."""


class Mover:
    """Reconciles consumers by name: one at a time each, so that a budget is spent once."""

    def __init__(self, desk: Desk, placer: Placer) -> None:
        self._desk, self._world, self._placer = desk, desk.world, placer

    async def reconcile(self, consumer: str) -> Result:
        """Strike out what is over, begin what the budgets allow, and let those pods go."""
        desk = self._desk
        obj = desk.consumers.cache.get(("", consumer))
        if obj is None:
            return DONE
        now, ledger = desk.now(), desk.ledger(consumer)
        kept = [entry for entry in ledger if not over(entry, self._seen(consumer, entry), now)]
        in_vain = {entry.uid for entry in kept if self._in_vain(entry)}
        begun, kept = begin(self._candidates(consumer), kept, now, in_vain)
        if begun or len(kept) != len(ledger):
            desk.consumers.learn(await desk.actor.write_ledger(obj, [*kept, *begun]))
            self._struck({entry.uid for entry in ledger} - {entry.uid for entry in kept})
        for entry in begun:
            self._tell(entry)
        allowed = [
            await desk.actor.evict((entry.namespace, entry.pod), entry.uid)
            for entry in (*kept, *begun)
            if self._to_evict(consumer, entry)
        ]
        if not all(allowed):
            log.info("consumer %s: a disruption budget holds up moves", consumer)
        return Result(requeue_after=LOOK_AGAIN) if kept or begun else DONE

    def _pod(self, entry: Moving) -> Object | None:
        found = self._desk.pods.cache.get((entry.namespace, entry.pod))
        return found if found is not None and found["metadata"]["uid"] == entry.uid else None

    def _seen(self, consumer: str, entry: Moving) -> Seen:
        pod = self._pod(entry)
        instead = self._desk.replacements(entry.uid)
        return Seen(
            pod is not None, pod is not None and deleting(pod), self._wanted(consumer, entry), bool(instead),
            any(is_ready(other) for other in instead),
        )  # fmt: skip

    def _in_vain(self, entry: Moving) -> bool:
        """Whether the pod is gone, and the one that was made in its place was told that nobody takes it."""
        return self._pod(entry) is None and self._placer.refused((entry.namespace, entry.pod))

    def _wanted(self, consumer: str, entry: Moving) -> bool:
        known = self._desk.wants.get(consumer, {}).get((entry.namespace, entry.pod))
        return known is not None and known[0] == entry.uid

    def _to_evict(self, consumer: str, entry: Moving) -> bool:
        pod = self._pod(entry)
        return pod is not None and not deleting(pod) and self._wanted(consumer, entry)

    def _candidates(self, consumer: str) -> list[Candidate]:
        found = []
        for key, (uid, want) in self._desk.wants.get(consumer, {}).items():
            pod = self._desk.pods.cache.get(key)
            if pod is None or pod["metadata"]["uid"] != uid or deleting(pod) or not self._can_go(pod, want):
                continue
            found.append(Candidate(key, uid, workload_of(pod), want, annotations_of(pod).get(MOVE, "")))
        return found

    def _can_go(self, pod: Object, want: Want) -> bool:
        """Whether somebody takes it; one that must leave goes in any case."""
        if want.hard:
            return True
        consumer = self._world.consumer_at(pod["metadata"]["namespace"])
        if consumer is None:
            return False
        known, prefer = read(pod), want.home if want.back else None
        decision = self._world.pod_class(consumer, known.facts).decision
        found = place(decision, self._world.rooms, pod["spec"], known.asked, prefer=prefer, avoid=want.source)
        return isinstance(found, Place) and (not want.back or found.provider == want.home)

    def _struck(self, uids: set[str]) -> None:
        for uid in uids:
            self._desk.replacing.pop(uid, None)
            self._placer.let_go(uid)

    def _tell(self, entry: Moving) -> None:
        pod = self._pod(entry)
        if pod is not None:
            source = f"provider {entry.source}" if entry.source else "its node"
            what = f"returns to {entry.home}" if entry.back else f"leaves {source}"
            self._desk.events.record(pod, "Normal", "Moving", f"{what}: {entry.why}", action="Moving")
