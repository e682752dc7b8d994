"""What the operator does about links' figures: follow their jitter, and tend probers beside the plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from continuo.federation.model import LinkSettings
from continuo.kube.port import Cluster
from continuo.orchestrator.assess import Assessment, assess
from continuo.orchestrator.measuring.figures import Pair
from continuo.orchestrator.measuring.jitter import Jitters
from continuo.orchestrator.measuring.manifests import own_image
from continuo.orchestrator.measuring.probers import Probers, present
from continuo.orchestrator.observe import Snapshot
from continuo.orchestrator.orient import Wanted
from continuo.orchestrator.settings import Settings
from continuo.resources.meta import Key
from continuo.telemetry.latency import Jitter

__all__ = ("Measuring", "present")


class Measuring:
    """The figures of all orchestrations of one operator."""

    def __init__(
        self, client: Callable[[Key, str], Cluster | None], settings: Settings, links: LinkSettings,
        now: Callable[[], float], clock: Callable[[], float],
    ) -> None:  # fmt: skip
        """`now` only goes forward, `clock` is the time since 1970; seconds."""
        self._jitters, self._links, self._clock = Jitters(), links, clock
        self._probers = Probers(client, settings.prober_image or own_image(), now)
        self._seen: dict[Key, tuple[Snapshot, Wanted, Assessment]] = {}

    def assess(self, snapshot: Snapshot, wanted: Wanted) -> Assessment:
        """Where everything stands, with the jitter that only who looks all the time can know."""
        found = assess(snapshot, wanted, self._links, self._clock())
        found = dataclasses.replace(found, figures=self._jitters.take(snapshot.key, found.figures))
        self._seen[snapshot.key] = snapshot, wanted, found
        return found

    def jitters(self, key: Key) -> Mapping[Pair, Jitter]:
        """Of an orchestration's links, as they are followed."""
        return self._jitters.latest(key)

    async def tend(self, key: Key) -> float | None:
        """Bring the probers of what was assessed last one step on; seconds until there is more to do without a change."""
        seen = self._seen.pop(key, None)
        return await self._probers.tend(*seen) if seen is not None else None

    def forget(self, key: Key) -> None:
        """The orchestration is gone."""
        self._seen.pop(key, None)
        self._jitters.forget(key)
        self._probers.forget(key)
