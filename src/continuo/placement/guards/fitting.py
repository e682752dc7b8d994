"""Whether what a decision does fits, all of it together: one tally for the decision, changed as actions are refused. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from msgspec.structs import replace as changed

from continuo.placement.guards.components import PLACING
from continuo.placement.guards.model import OF_CAUSE, Code, Judged, Rejection, State
from continuo.placement.model import Part, Room
from continuo.placement.reasons import Cause, Refusal
from continuo.placement.tally import Tally
from continuo.resources.loop import DecidedAction, Operation

_OF_SIZE = (Code.NO_CPU, Code.NO_MEMORY, Code.NO_GPU, Code.COST_BUDGET, Code.CARBON_BUDGET)


def judge_room(judged: Judged) -> None:
    """Refuse what does not fit where it is to go. All are looked at together; of two that do not both fit the later goes."""
    actions = {n: a for n, a in judged.open() if a.op in (*PLACING, Operation.SCALE_COMPONENT)}
    if not actions:
        return
    fitting = Fitting(judged.state, actions)
    while (wrong := fitting.last_misfit()) is not None:
        number, rejection = wrong
        judged.refused[number] = rejection
        fitting.refuse(number)


class Fitting:
    """All components where the actions that nothing was said against would have them."""

    def __init__(self, state: State, actions: Mapping[int, DecidedAction]) -> None:
        self._state, self._actions = state, dict(actions)
        tally = self._tally = Tally(state.problem, {})
        self._were = {part: site for part, site in state.places.items() if site in tally.sites}
        self._before = {part: tally.parts[part] for part in map(self._part, actions.values()) if part in tally.parts}
        self._followers: dict[str, list[str]] = defaultdict(list)
        """Those that have to be beside a part."""
        for part in state.problem.parts:
            for other in dict.fromkeys(part.beside):
                self._followers[other].append(part.id)
        for action in actions.values():
            if action.op is Operation.SCALE_COMPONENT and (part_id := self._part(action)) in self._before:
                tally.resize(_sized(state, self._before[part_id], action.replicas or 0))
        moved = {self._part(a): str(a.cluster) for a in actions.values() if a.op in PLACING}
        places = {**self._were, **moved}
        for part_id in sorted(places):
            if part_id in tally.parts and places[part_id] in tally.sites:
                tally.put(part_id, places[part_id])

    def last_misfit(self) -> tuple[int, Rejection] | None:
        """The last action that does not fit, and why; None where all do."""
        for number in sorted(self._actions, reverse=True):
            action = self._actions[number]
            refusal = self._refusal(action)
            if refusal is not None:
                where = self._tally.places.get(self._part(action), action.cluster)
                said = f"{action.component} on {where}: {refusal.message}"
                return number, Rejection(OF_CAUSE.get(refusal.cause, Code.INFEASIBLE), said)
        return None

    def refuse(self, number: int) -> None:
        """As if an action had not been asked for."""
        action = self._actions.pop(number)
        part_id = self._part(action)
        here = self._tally.take(part_id)
        if action.op is Operation.SCALE_COMPONENT:
            self._tally.resize(self._before[part_id])
        else:
            here = self._were.get(part_id)
        if here is not None:
            self._tally.put(part_id, here)

    def _part(self, action: DecidedAction) -> str:
        return self._state.part(str(action.component))

    def _refusal(self, action: DecidedAction) -> Refusal | None:
        """What speaks against a component where it would be; for one that only grows, the room alone."""
        tally, part_id = self._tally, self._part(action)
        site = tally.take(part_id)
        if site is None:
            return None
        found = list(tally.refusals(part_id, site))
        tally.put(part_id, site)
        if action.op in PLACING:
            return found[0] if found else self._left_behind(part_id, site)
        if tally.parts[part_id].room == self._before[part_id].room:
            return None
        return next((each for each in found if OF_CAUSE.get(each.cause) in _OF_SIZE), None)

    def _left_behind(self, part_id: str, site: str) -> Refusal | None:
        """Whether another part that has to be beside it would be elsewhere."""
        for other in self._followers.get(part_id, ()):
            elsewhere = self._tally.places.get(other, site)
            if elsewhere != site:
                return Refusal(Cause.BESIDE, f"{other} shares a cluster with it, and is on {elsewhere}")
        return None


def _sized(state: State, part: Part, replicas: int) -> Part:
    """The part with the pods that are asked for; nothing is too many already where it only shrinks."""
    path = part.id.removeprefix(state.part(""))
    if replicas <= state.components[path][1].replicas:
        return part
    pod = state.pods.get(path, Room())
    cpu, memory, gpus = pod.cpu_millis * replicas, pod.memory_bytes * replicas, pod.gpus * replicas
    return changed(part, room=Room(cpu_millis=cpu, memory_bytes=memory, gpus=gpus))
