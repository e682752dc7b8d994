"""What was decided about each pod: asked several times for one change, it is worked out once.

The reflection before asks what a pod is going to be, the one that has it asks for its step, and so does its record. Objects
are replaced and never changed, so the same ones have the same answer.
"""

from __future__ import annotations

from continuo.federation.reflection import pods
from continuo.federation.reflection.twin import Twin
from continuo.resources.meta import Key, Object


class Decided:
    """The step for a pod and its copy, and the pod as it is once its status has been told."""

    __slots__ = ("_told", "copy", "pod", "step", "twin")

    def __init__(self, twin: Twin, pod: Object | None, copy: Object | None) -> None:
        self.twin, self.pod, self.copy = twin, pod, copy
        self.step = pods.decide(twin, pod, copy)
        self._told: Object | None = None

    @property
    def told(self) -> Object:
        """The pod with what there is to be told; itself when there is nothing. There has to be a pod."""
        if self._told is None:
            assert self.pod is not None
            self._told = pods.told(self.step) if isinstance(self.step, pods.Tell) else self.pod
        return self._told


class Decisions:
    """The last decision about each pod."""

    def __init__(self) -> None:
        self._known: dict[Key, Decided] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, twin: Twin, key: Key, pod: Object | None, copy: Object | None) -> Decided:
        """What is to be done about a pod and its copy, as `pods.decide` says."""
        found = self._known.get(key)
        if found is not None and found.pod is pod and found.copy is copy and found.twin is twin:
            return found
        made = Decided(twin, pod, copy)
        if pod is None and copy is None:
            self._known.pop(key, None)
        else:
            self._known[key] = made
        return made
