"""Who runs the steps of a plan: this process, or backends that are told through a topic.

The operator hands over one round at a time and looks at what came of it in the next one, so an executor may return before
anything is done. Whatever it does may be cut off anywhere: the next plan has again what is still to be done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from continuo.kube.port import Cluster
from continuo.orchestrator.act import Attempts, Learn, act
from continuo.orchestrator.observe import Caches, Snapshot
from continuo.orchestrator.plan import MANAGEMENT, Plan, Step, Write
from continuo.resources.meta import Key, Object, key_of

Ask = Callable[[Key, float], None]
"""Have an orchestration looked at again after some seconds; negative: at once, and what failed may be tried at once."""


@dataclass(frozen=True, slots=True)
class Round:
    """What there is to do for one orchestration, and what to do it with."""

    plan: Plan
    snapshot: Snapshot
    attempts: Attempts
    """Steps that failed before; new failures are entered here."""
    clusters: Mapping[str, Cluster]
    learn: Learn
    """Told what a server answered to a write."""
    management: Caches

    def live(self, write: Write) -> Object | None:
        """The object of a write as the caches have it."""
        seen = self.snapshot.clusters.get(write.cluster)
        caches = self.management if write.cluster == MANAGEMENT else seen.workload.caches if seen is not None else None
        namespace, name = key_of(write.object)
        return caches.get(write.kind, name, namespace) if caches is not None else None


class Executor(Protocol):
    """Runs the steps of a round that can be run now."""

    async def run(self, round_: Round) -> tuple[Step, ...]:
        """Begin, or do, what can be done; returns the steps that are done. Failures go into the round's attempts."""
        ...

    def attach(self, ask: Ask) -> None:
        """Once, before the first round: whom to ask for another look."""
        ...

    def forget(self, key: Key) -> None:
        """The orchestration is gone."""
        ...


class InProcess:
    """Runs them here and now."""

    def __init__(self, now: Callable[[], float], concurrency: int = 8) -> None:
        self._now, self._concurrency = now, concurrency

    async def run(self, round_: Round) -> tuple[Step, ...]:
        return await act(
            round_.plan, round_.clusters, round_.attempts, round_.learn, now=self._now, concurrency=self._concurrency
        )

    def attach(self, ask: Ask) -> None:
        """It needs none: when it returns, all is done."""

    def forget(self, key: Key) -> None:
        """It remembers nothing."""
