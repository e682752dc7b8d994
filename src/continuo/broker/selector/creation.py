"""Pods that are placed while they are created, which spares the binding, and its round trip, for each of them.

Whoever makes consumers' pods here in this process asks before each creation. What is decided then is what the loop would
decide; the pod is booked under a token until the watch tells of it, since it has no UID yet. What nobody may take, and what
is not known well enough to say, is left as it is: the loop sees it afterwards, and explains. The loop judges again in any
case, so that a policy that changed between the decision and the creation has its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from continuo.broker.selector.choosing import Chooser, Chosen
from continuo.broker.selector.desk import Desk
from continuo.broker.selector.names import MANAGER, MOVE
from continuo.broker.selector.pods import wants_a_place
from continuo.resources.meta import Key, Object, annotations_of, key_of

PATIENCE = 60.0
"""Seconds for which a pod is waited for. A request takes a quarter of that at most."""


class _Expected(msgspec.Struct, frozen=True):
    """A pod that was placed and has not been seen yet."""

    token: str
    chosen: Chosen
    until: float


class Creation:
    """Places pods that are about to be created. Nothing is awaited here either."""

    def __init__(self, desk: Desk, chooser: Chooser, made_room: Callable[[], None], patience: float = PATIENCE) -> None:
        self._desk, self._chooser, self.patience = desk, chooser, patience
        self._made_room = made_room
        self._expected: dict[Key, _Expected] = {}
        """In the order of their time."""
        self._count = 0

    def place(self, copy: Object) -> Object:
        """The pod with its node and its explanation; itself where that is the loop's to decide."""
        key = key_of(copy)
        if copy["spec"].get("schedulerName", MANAGER) != MANAGER or not wants_a_place(copy):
            return copy
        consumer = self._desk.world.consumer_at(key[0])
        if consumer is None or key in self._desk.pods.cache:
            return copy  # nobody's yet; or the one before it is not gone, as far as we know
        self._give_back(key)
        self._count += 1
        token = f"expected-{self._count}"
        chosen = self._chooser.choose(key, token, copy, consumer)
        if not isinstance(chosen, Chosen):
            return copy
        self._chooser.book(key, token, copy, chosen)
        self._expected[key] = _Expected(token, chosen, _now() + self.patience)
        metadata = copy["metadata"]
        annotations = {**annotations_of(copy), **chosen.marks(self._desk.now())}
        return {
            **copy, "metadata": {**metadata, "annotations": annotations},
            "spec": {**copy["spec"], "nodeName": chosen.to.node},
        }  # fmt: skip

    def came(self, key: Key, pod: Object) -> bool:
        """The watch tells of a pod of that name; True when it is as it was decided, and would be decided so again."""
        known = self._expected.pop(key, None)
        if known is None:
            return False
        chosen, uid = known.chosen, pod["metadata"]["uid"]
        if pod["spec"].get("nodeName") != chosen.to.node or annotations_of(pod).get(MOVE) != chosen.move:
            if self._chooser.give_back(key, known.token, chosen.move):
                self._made_room()
            return False
        self._chooser.rename(key, known.token, uid, chosen.move)
        world = self._desk.world
        same = world.holds(chosen.alike) and world.rooms.provider_of(chosen.to.node) == chosen.to.provider
        return same and not chosen.home

    def give_up(self, again: Callable[[float], None]) -> None:
        """Wait no longer for those whose time is over. `again`: seconds until the next."""
        while self._expected:
            key, first = next(iter(self._expected.items()))
            if first.until > _now():
                again(first.until - _now())
                break
            if self._give_back(key):
                self._made_room()

    def _give_back(self, key: Key) -> bool:
        known = self._expected.pop(key, None)
        return known is not None and self._chooser.give_back(key, known.token, known.chosen.move)


def _now() -> float:
    return asyncio.get_running_loop().time()
