"""Who takes a pod now, and the books that are kept of that at once; so many may ask at a time, since nothing is awaited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from continuo.broker.aggregate.topology import Score, Wish, rank, wishes_of
from continuo.broker.policies.decisions import stamp
from continuo.broker.policies.facts import ConsumerFacts
from continuo.broker.selector.act import with_head
from continuo.broker.selector.decide import NoPlace, Place, place
from continuo.broker.selector.desk import Desk
from continuo.broker.selector.moves import replaces
from continuo.broker.selector.names import DECISION, MOVE, MOVED_FROM
from continuo.broker.selector.pods import ended, name_of_workload, read, workload_of
from continuo.broker.selector.world import PodClass
from continuo.resources.broker import Moving
from continuo.resources.meta import Key, Object


class Chosen(msgspec.Struct, frozen=True):
    """Where a pod goes, why, and which move that completes."""

    to: Place
    alike: PodClass
    entry: Moving | None
    wishes: Mapping[Wish, float]
    """How well the node fulfils what the pod wishes of topology."""
    asked: Mapping[str, int]
    """What the pod asks for, in thousandths."""

    def marks(self, now: float) -> dict[str, str]:
        """The annotations that say so on the pod."""
        head: dict[str, Any] = {"provider": self.to.provider, "node": self.to.node, "at": stamp(now)}
        if self.wishes:
            head["wishes"] = {wish: round(value, 3) for wish, value in self.wishes.items()}
        return {DECISION: with_head(self.alike.told, head), MOVED_FROM: self.home, MOVE: self.move}

    @property
    def home(self) -> str:
        """The provider that the pod belongs to and cannot run on; empty where that is no other one."""
        return self.entry.home if self.entry is not None and self.entry.home != self.to.provider else ""

    @property
    def move(self) -> str:
        """The UID of the pod that it replaces."""
        return self.entry.uid if self.entry is not None else ""


@dataclass(frozen=True, slots=True)
class Nobody:
    """No provider takes the pod. `lacking`: what those that are allowed lack."""

    alike: PodClass
    lacking: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Held:
    """The pod that it replaces, by its UID, is not gone yet: never two of them."""

    by: str


class Chooser:
    """Chooses, and books what was chosen."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._world = desk, desk.world

    def choose(self, key: Key, uid: str, pod: Object, consumer: ConsumerFacts) -> Chosen | Nobody | Held:
        """Who takes the pod now."""
        entry = self._entry(key, uid, pod, consumer.name)
        if entry is not None and self._still_there(entry):
            return Held(entry.uid)
        spec = pod["spec"]
        known = read(pod)
        alike, asked = self._world.pod_class(consumer, known.facts), known.asked
        prefer = entry.home if entry is not None and entry.back else None
        scores = self._scores(pod, alike)
        merits = {node: score.total for node, score in scores.items()} if scores else None
        found = place(alike.decision, self._world.rooms, spec, asked, prefer=prefer, merits=merits)
        if isinstance(found, NoPlace):
            return Nobody(alike, found.lacking)
        return Chosen(found, alike, entry, scores[found.node].parts if scores else {}, asked)

    def book(self, key: Key, uid: str, pod: Object, chosen: Chosen) -> None:
        """The pod is going there."""
        self._world.book(key, uid, chosen.to.node, pod, chosen.asked)
        if chosen.entry is not None:
            self._desk.replacing[chosen.entry.uid] = uid

    def rename(self, key: Key, uid: str, now: str, move: str) -> None:
        """A pod that was booked before it had a UID has one."""
        if self._desk.replacing.get(move) == uid:
            self._desk.replacing[move] = now
        self._world.rename(key, uid, now)

    def give_back(self, key: Key, uid: str, move: str) -> bool:
        """It is not; True when that made room."""
        if self._desk.replacing.get(move) == uid:
            del self._desk.replacing[move]
        return self._world.release(key, uid)

    def _scores(self, pod: Object, alike: PodClass) -> Mapping[str, Score]:
        """By node: how well it fulfils the wishes that the pod has; inside Aggregates only, and nothing without wishes."""
        if alike.fence is None:
            return {}
        wishes = wishes_of(pod, name_of_workload(pod))
        if not wishes.critical and not wishes.talks_to:
            return {}
        placed = self._world.placed(pod["metadata"]["namespace"])
        rooms = self._world.rooms
        spots = [placed.spots[room.name] for each in alike.decision.allowed for room in rooms.of(each.provider)]
        return {score.spot.node: score for score in rank(wishes, spots, placed)}

    def _entry(self, key: Key, uid: str, pod: Object, consumer: str) -> Moving | None:
        """The move that this pod is the replacement of."""
        ledger = self._desk.ledger(consumer)
        if not ledger:
            return None
        taken = dict(self._desk.replacing)
        for entry in ledger:
            for other in self._desk.replacements(entry.uid):
                taken[entry.uid] = other["metadata"]["uid"]
        return replaces(ledger, key, uid, workload_of(pod), taken)

    def _still_there(self, entry: Moving) -> bool:
        there = self._desk.pods.cache.get((entry.namespace, entry.pod))
        return there is not None and there["metadata"]["uid"] == entry.uid and not ended(there)
