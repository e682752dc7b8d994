"""What somebody bought of the remote cluster, and what of it the copies there use: nothing is sent beyond it.

The node at home only says what was bought; whoever has that cluster can make it say more. So it is counted here, where the
provider's credentials are: every copy that is there, and every one that is on its way, before it is asked for. What has no
room waits in the order of its arrival and is called when room is made, so that ten thousand that wait cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from continuo.federation.quantities import canonical, quantity
from continuo.federation.requests import requests_of
from continuo.resources.meta import Key, Object, key_of
from continuo.resources.reflected import GONE_PHASES

ASSUMED: Mapping[str, str] = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "100Mi"}
"""What a container asks for that does not say so, where that is what was bought; or all of it, where that is less."""
_POD = 1000
_BYTES = ("memory", "ephemeral-storage")
_UNITS = {unit: int(quantity(f"1{unit}")) for unit in ("Ti", "T", "Gi", "G", "Mi", "M", "Ki", "k")}
Shape: TypeAlias = tuple[tuple[str, int], ...]
"""What a pod asks for, the pod itself included: pods of one workload have one shape."""


@dataclass(frozen=True, slots=True)
class Bought:
    """A plan, and the contract by which it was bought."""

    contract: str
    amounts: Mapping[str, str]
    """By resource. What has a domain in its name and is not here was not bought; of cpu, memory and storage that are not
    here nothing was said."""


@dataclass(frozen=True, slots=True)
class Lack:
    """One resource of which there is too little left; thousandths."""

    resource: str
    asked: int
    used: int
    most: int

    def __str__(self) -> str:
        asked, used, most = (spell(self.resource, amount) for amount in (self.asked, self.used, self.most))
        return f"{self.resource}: {asked} asked, {used} of {most} in use"


def spell(resource: str, amount: int) -> str:
    """Thousandths as people write them: `1500m` of cpu, `2G` or `2Gi` of bytes, whichever is shorter."""
    whole, rest = divmod(amount, 1000)
    if rest or resource not in _BYTES or not whole:
        return canonical("cpu", Fraction(amount, 1000))
    spelled = (f"{whole // size}{unit}" for unit, size in _UNITS.items() if whole % size == 0)
    return min(spelled, key=len, default=str(whole))


def extended(resource: str) -> bool:
    """Whether a node has none of it unless it says so."""
    return "/" in resource or resource.startswith("hugepages-")


def most_of(amounts: Mapping[str, str]) -> dict[str, int]:
    """What was bought, in thousandths, rounded down."""
    return {name: int(quantity(amount) * 1000) for name, amount in amounts.items()}


def shape_of(spec: Object) -> Shape:
    """What a pod takes, in thousandths."""
    return tuple(sorted({**{name: n for name, n in requests_of(spec).items() if n}, "pods": _POD}.items()))


def lacks(most: Mapping[str, int], used: Mapping[str, int], asked: Shape) -> list[Lack]:
    """Of what there is too little left; nothing: it fits."""
    return [
        Lack(name, amount, used.get(name, 0), most.get(name, 0))
        for name, amount in asked
        if (name in most or extended(name)) and used.get(name, 0) + amount > most.get(name, 0)
    ]


def with_requests(spec: Object, amounts: Mapping[str, str]) -> Object:
    """The pod with what it did not say: as in a namespace with a LimitRange nothing runs uncounted and without a limit."""
    whole, counted = spec.get("resources") or {}, [name for name in ASSUMED if name in amounts]
    limits = {name: amounts[name] for name in counted if name not in (whole.get("limits") or {})}
    asked = [name for name in counted if name not in (whole.get("requests") or {})]
    if not limits and not asked:
        return spec
    groups = [group for group in ("containers", "initContainers") if spec.get(group)]
    return {**spec, **{group: [_complete(each, limits, asked, amounts) for each in spec[group]] for group in groups}}


def _complete(container: Object, most: Mapping[str, str], asked: list[str], amounts: Mapping[str, str]) -> Object:
    """Where the pod as a whole says what it asks for, its containers ask for nothing: else their limits were taken for it."""
    given = container.get("resources") or {}
    limits = {**most, **(given.get("limits") or {})}
    requests = {
        name: assumed(name, limits.get(name, amounts[name])) if name in asked else "0" for name in (*asked, *most)
    }
    said = {"requests": {**requests, **(given.get("requests") or {})}, **({"limits": limits} if limits else {})}
    return {**container, "resources": {**given, **said}}


def assumed(resource: str, most: str) -> str:
    """What is asked for where nothing is said and so much is allowed."""
    return spell(resource, int(min(quantity(ASSUMED[resource]), quantity(most)) * 1000))


class Tally:
    """The copies of one reflection. `look` is told which pod at home may be sent now.

    Single changes in, no I/O. Room is given before a copy is asked for, and stays given while nobody knows what became of
    that, so that many at once never take more than there is. Copies go by their own keys, pods by those at home.
    """

    def __init__(self, bought: Bought, look: Callable[[Key], None]) -> None:
        self._contract, self._most, self._look = bought.contract, most_of(bought.amounts), look
        self._used: dict[str, int] = {}
        self._taken: dict[Key, tuple[str | None, Shape]] = {}
        """By copy: its UID, None while it is not known to be there."""
        self._queues: dict[Shape, dict[Key, None]] = {}
        self._waiting: dict[Key, Shape] = {}
        """The same pods as in the queues."""
        self._called: dict[Key, Shape] = {}
        """Pods that were told that there is room, which is kept for them until they come."""

    @property
    def used(self) -> Mapping[str, int]:
        """What is given away, in thousandths."""
        return {name: amount for name, amount in self._used.items() if amount}

    @property
    def waiting(self) -> int:
        """How many pods wait for room."""
        return len(self._waiting)

    # --- copies -------------------------------------------------------------------------------------------------------
    def see(self, old: Object | None, new: Object | None) -> None:
        """A copy came, changed or went."""
        obj = new if new is not None else old
        if obj is None:
            return
        key, uid = key_of(obj), obj["metadata"]["uid"]
        known = self._taken.get(key)
        if new is None or (new.get("status") or {}).get("phase") in GONE_PHASES:
            if known is not None and known[0] == uid:
                self.release(key)
        elif known is None or known[0] != uid or old is None or old["spec"] != new["spec"]:
            asked = shape_of(new["spec"])
            self._take(key, uid, asked)
            if known is not None and known[1] != asked:
                self._call()

    def hold(self, key: Key, spec: Object, pod: Key) -> str | None:
        """Give room to a copy that is about to be created; or why there is none, and its pod is called when there is."""
        known, asked, freed = self._taken.get(key), shape_of(spec), self._uncall(pod)
        if known is not None and known[0] is None:
            self._drop(key)  # it is tried again
            freed, known = True, None
        short = lacks(self._most, self._used, asked) if known is None else []
        if not short or self._waiting.get(pod) != asked:
            self._unwait(pod)  # else it keeps its place
        if short and pod not in self._waiting:
            self._waiting[pod] = asked
            self._queues.setdefault(asked, {})[pod] = None
        elif not short and known is None:
            self._take(key, None, asked)
        if freed:
            self._call()
        if not short:
            return None
        return f"contract {self._contract} has no room for this pod ({'; '.join(map(str, short))}): it waits until there is"

    def doubtful(self, key: Key) -> bool:
        """Whether room is given to a copy of which nobody has heard."""
        known = self._taken.get(key)
        return known is not None and known[0] is None

    def release(self, key: Key) -> None:
        """A copy is not there, or takes nothing any more."""
        if key in self._taken:
            self._drop(key)
            self._call()

    # --- pods that wait -----------------------------------------------------------------------------------------------
    def settle(self, pod: Key) -> None:
        """The pod was looked at: room that was kept for it and not taken is the next one's."""
        if self._uncall(pod):
            self._call()

    def forget(self, pod: Key) -> None:
        """The pod waits no more."""
        self._unwait(pod)
        self.settle(pod)

    # --- the books ----------------------------------------------------------------------------------------------------
    def _take(self, key: Key, uid: str | None, asked: Shape) -> None:
        if key in self._taken:
            self._drop(key)
        self._taken[key] = uid, asked
        self._add(asked, 1)

    def _drop(self, key: Key) -> None:
        self._add(self._taken.pop(key)[1], -1)

    def _add(self, shape: Shape, sign: int) -> None:
        for name, amount in shape:
            self._used[name] = self._used.get(name, 0) + sign * amount

    def _unwait(self, pod: Key) -> None:
        shape = self._waiting.pop(pod, None)
        if shape is not None:
            queue = self._queues[shape]
            del queue[pod]
            if not queue:
                del self._queues[shape]

    def _uncall(self, pod: Key) -> bool:
        shape = self._called.pop(pod, None)
        if shape is not None:
            self._add(shape, -1)
        return shape is not None

    def _call(self) -> None:
        """Call those who fit by now: of each shape the first, as long as there is room."""
        for shape in list(self._queues):
            while (queue := self._queues.get(shape)) and not lacks(self._most, self._used, shape):
                pod = next(iter(queue))
                self._unwait(pod)
                self._called[pod] = shape
                self._add(shape, 1)
                self._look(pod)
