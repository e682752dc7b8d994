"""The Liqo stand-in: runs Liqo's controllers in every cluster of the engine where Liqo is installed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random

from continuo.embedded.port import Api, Engine, StoredChange
from continuo.embedded.standins.base import Listeners, PerCluster
from continuo.embedded.standins.liqo import names
from continuo.embedded.standins.liqo.authentication import Authentication
from continuo.embedded.standins.liqo.foreign import ForeignClusters
from continuo.embedded.standins.liqo.networking import Networking
from continuo.embedded.standins.liqo.offloading import Offloading
from continuo.embedded.standins.liqo.pods import Pods
from continuo.embedded.standins.liqo.reflection import Reflection
from continuo.embedded.standins.liqo.replication import Replicator
from continuo.embedded.standins.liqo.shadows import Shadows
from continuo.embedded.standins.liqo.site import Site
from continuo.embedded.standins.liqo.slices import Slices
from continuo.embedded.standins.liqo.twins import Twins
from continuo.embedded.standins.liqo.virtualnodes import VirtualNodes
from continuo.embedded.standins.settings import Settings
from continuo.resources import kinds

log = logging.getLogger(__name__)
PING = 1.0
"""Seconds between two looks at whether the peers' APIs answer."""


class LiqoStandIn:
    """Plays Liqo in all clusters; implements `standins.base.StandIn`."""

    def __init__(self, engine: Engine, *, rng: Random, settings: Settings | None = None) -> None:
        self.engine, self.rng = engine, rng
        self.sites: dict[str, Site] = {}
        self._settings = settings or Settings()
        self._clusters = PerCluster(engine, lambda api: _Door(self, api))
        self._was_up: dict[str, bool] = {}
        self._cancel: Callable[[], None] | None = None

    def start(self) -> None:
        """Take up what is installed, and follow what will be."""
        self._clusters.start()
        self._ping()

    def stop(self) -> None:
        """Let go of everything."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        self._clusters.stop()

    def scaled(self, seconds: float) -> float:
        """Simulated seconds as the engine's seconds."""
        return self._settings.scaled(seconds)

    def look(self) -> None:
        """Notice at once which APIs have come or gone (else it is noticed with the next ping)."""
        for name, site in list(self.sites.items()):
            if self._was_up.get(name, True) != site.up:
                self._was_up[name] = site.up
                for peer in list(site.peers):
                    site.touch(peer)

    def _ping(self) -> None:
        self.look()
        self._cancel = self.engine.call_later(self._settings.scaled(PING), self._ping)


class _Door:
    """Waits in one cluster for the release `liqo` to come and go."""

    def __init__(self, standin: LiqoStandIn, api: Api) -> None:
        self._standin, self._api = standin, api
        self._listeners = Listeners(standin.engine, api)
        self._site: Site | None = None

    def start(self) -> None:
        self._listeners.follow(kinds.CONFIG_MAP, self._on_config_map)

    def stop(self) -> None:
        self._listeners.stop()
        self._leave()

    def _on_config_map(self, change: StoredChange) -> None:
        metadata = change.object["metadata"]
        if metadata["name"] != names.CLUSTER_ID_CONFIG_MAP or metadata.get("namespace") != names.NAMESPACE:
            return
        cluster_id = (change.object.get("data") or {}).get(names.CLUSTER_ID_KEY)
        if change.type == "DELETED" or not cluster_id:
            self._leave()
        elif self._site is None or self._site.id != cluster_id:
            self._leave()
            self._enter(str(cluster_id))

    def _enter(self, cluster_id: str) -> None:
        if cluster_id in self._standin.sites:
            other = self._standin.sites[cluster_id].api.name
            log.warning("cluster %s says it is %s, as cluster %s does already", self._api.name, cluster_id, other)
            return
        site = self._site = Site(self._standin, self._api, cluster_id)
        pods = Pods(site)
        reflection = Reflection(site)
        site.look_at_pod, site.look_at_object = pods.work.add, reflection.work.add
        site.start([
            Networking(site), Authentication(site), Replicator(site), Slices(site), VirtualNodes(site, pods),
            Twins(site), Offloading(site, pods, reflection), pods, reflection, Shadows(site), ForeignClusters(site),
        ])  # fmt: skip

    def _leave(self) -> None:
        if self._site is not None:
            self._site.stop()
            self._site = None
