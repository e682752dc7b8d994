"""Stands in for the probers of links: pods run nothing here, so what they would measure is what the link simulates.

A link carries `Settings.link_bandwidth`, or less if the fault `link-bandwidth` on the ForeignCluster at either end says so.
"""

from __future__ import annotations

import base64
import hashlib

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Work, stored
from continuo.embedded.standins.faults import LINK_BANDWIDTH, fault
from continuo.embedded.standins.liqo.names import CLUSTER_ID_CONFIG_MAP, CLUSTER_ID_KEY, REMOTE
from continuo.embedded.standins.liqo.names import NAMESPACE as LIQO
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload.owned import pod_ready
from continuo.resources.kinds import CONFIG_MAP, CONNECTION, FOREIGN_CLUSTER, POD
from continuo.resources.meta import Object, key_of, labels_of
from continuo.resources.probing import (
    EVERY,
    MEASURED,
    PEERS,
    PROBER_LABEL,
    Failure,
    Measurement,
    Peer,
    Told,
    read_peers,
    told_data,
)
from continuo.resources.quantities import quantity

WRITE = Write(manager="continuo-prober", trusted=True)
SIZE = 1 << 20
"""What a transfer would have been."""


class Probers:
    """The probers of one cluster, by namespace."""

    def __init__(self, engine: Engine, api: Api, settings: Settings) -> None:
        self._engine, self._api, self._settings = engine, api, settings
        self._spaces: set[str] = set()
        self._work: Work[str] = Work(engine, self._measure, name=f"probers {api.name}")

    def stop(self) -> None:
        self._work.stop()

    def on_pod(self, change: StoredChange) -> None:
        """A prober started or went."""
        if PROBER_LABEL not in labels_of(change.object):
            return
        namespace = key_of(change.object)[0]
        if change.type == "DELETED":
            self._spaces.discard(namespace)
        else:
            self._spaces.add(namespace)
        self._work.add(namespace)

    def on_config_map(self, change: StoredChange) -> None:
        """A prober was told of others, or what it told was emptied."""
        namespace, name = key_of(change.object)
        emptied = name == MEASURED and not change.object.get("data")
        if namespace in self._spaces and (name == PEERS or emptied):
            self._work.add(namespace)

    def on_link(self, change: StoredChange) -> None:
        """A link came, went, or is another one by a fault."""
        if self._spaces and (change.previous is None or _facts(change.object) != _facts(change.previous)):
            for namespace in self._spaces:
                self._work.add(namespace)

    def _measure(self, namespace: str) -> None:
        """Write what the prober of a namespace would tell now, and again after the interval."""
        pod = next((pod for pod in self._api.list(POD, namespace, {PROBER_LABEL: "links"}) if pod_ready(pod)), None)
        if pod is None:
            return
        links: dict[str, Measurement] = {}
        failures: dict[str, Failure] = {}
        for peer in read_peers(self._api.find(CONFIG_MAP, PEERS, namespace)):
            found = self._one(peer)
            if isinstance(found, Failure):
                failures[peer.name] = found
            else:
                links[peer.name] = found
        key = base64.b64encode(hashlib.sha256(str(pod["metadata"]["uid"]).encode()).digest()).decode()
        told = Told(key=key, address=str(pod["status"]["podIP"]), links=links, failures=failures)
        self._api.patch(CONFIG_MAP, MEASURED, namespace, "merge", {"data": told_data(told)}, WRITE)
        self._work.add_after(namespace, self._settings.scaled(EVERY))

    def _one(self, peer: Peer) -> Measurement | Failure:
        now = self._engine.now()
        connections = stored(self._api, CONNECTION, labels={REMOTE: peer.cluster_id})
        if not any((obj.get("status") or {}).get("value") == "Connected" for obj in connections):
            return Failure(message=f"the probe {peer.probe} did not answer: there is no tunnel", at=now)
        rates = [self._settings.link_bandwidth]
        for said in self._faults(peer.cluster_id):
            try:
                rates.append(float(quantity(said)))
            except ValueError as error:
                return Failure(message=f"the fault {LINK_BANDWIDTH} is no number of bits in a second: {error}", at=now)
        return Measurement(bps=int(min(rates)), at=now, bytes=SIZE)

    def _faults(self, peer: str) -> list[str]:
        """What the faults at both ends of a link say."""
        own = _liqo_id(self._api)
        found = [fault(self._api.find(FOREIGN_CLUSTER, peer), LINK_BANDWIDTH)]
        other = next((api for api in self._engine.clusters() if api is not self._api and _liqo_id(api) == peer), None)
        if other is not None and own is not None:
            found.append(fault(other.find(FOREIGN_CLUSTER, own), LINK_BANDWIDTH))
        return [said for said in found if said is not None]


def _facts(obj: Object) -> tuple[object, object]:
    return fault(obj, LINK_BANDWIDTH), (obj.get("status") or {}).get("value")


def _liqo_id(api: Api) -> str | None:
    found = api.find(CONFIG_MAP, CLUSTER_ID_CONFIG_MAP, LIQO)
    return (found.get("data") or {}).get(CLUSTER_ID_KEY) if found is not None else None
