"""What the Edge Resource Manager follows, and whom each change concerns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from decimal import Decimal

from continuo.edge.discovery.boards import Board, board_of, is_cut_off, state_of
from continuo.edge.discovery.budget import Budget
from continuo.edge.discovery.claims import Claims
from continuo.edge.discovery.flavors import label_of
from continuo.edge.discovery.settings import Settings
from continuo.edge.node import IDENTITY, NodeIdentity, identity_of
from continuo.edge.rear.names import DEVICE as DEVICE_LABEL
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import Invalid
from continuo.resources.meta import Key, Kind, Object, deleting, key_of, labels_of
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)


class Followed:
    """One watch for each kind, and indexes beside them."""

    def __init__(
        self, cluster: Cluster, settings: Settings, namespace: str, devices: str | None, add: Callable[[Key], None]
    ) -> None:
        self._add, self._namespace = add, namespace
        self.claims, self.budget = Claims(), Budget()
        self.identity: NodeIdentity | None = None
        """Who sells; None until the ConfigMap says."""
        self._devices = Informer(cluster, Watch(kinds.DEVICE, devices, optional=True))
        self._older = Informer(cluster, Watch(kinds.DEVICE_V1ALPHA2, devices, optional=True))
        """Of KubeEdge before 1.15, which serves nothing newer; else the same objects, so then it is not started."""
        self._states = Informer(cluster, Watch(kinds.DEVICE_STATUS, devices, optional=True))
        self._nodes = Informer(cluster, Watch(kinds.NODE, labels=f"{settings.node_label}=true"))
        self._flavors = Informer(cluster, Watch(kinds.FLAVOR, devices, indexers={"device": _devices_of}))
        self._config = Informer(cluster, Watch(kinds.CONFIG_MAP, namespace, fields=f"metadata.name={IDENTITY}"))
        self._told: dict[Key, tuple[Board, str, object]] = {}
        self._own = False
        """A change is told that we have just made."""

    @property
    def informers(self) -> tuple[Informer, ...]:
        """All of them, for who waits or counts."""
        return self._devices, self._older, self._states, self._nodes, self._flavors, self._config

    @property
    def device_kind(self) -> Kind:
        """The version in which Devices are served."""
        return kinds.DEVICE if self._devices.served else kinds.DEVICE_V1ALPHA2

    async def start(self) -> None:
        """Return when everything is known; from then on changes are told."""
        first = [self._devices, self._states, self._nodes, self._flavors, self._config]
        for informer in first:
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in first))
        if not self._devices.served:
            self._older.start()
            await self._older.synced.wait()
        for device in [*self._devices.cache, *self._older.cache]:
            if not deleting(device):
                self.claims.put(board_of(device))
            await asyncio.sleep(0)  # annotations take their time to decode, and others have timers
        self._config.on_change(self._on_config)
        self._nodes.on_change(self._on_node)
        for informer in (self._devices, self._older):
            informer.on_change(self._on_device)
        self._states.on_change(self._on_state)
        self._flavors.on_change(self._on_flavor)
        self._devices.on_recovery = self._newer_came

    async def close(self) -> None:
        """Follow no more."""
        await asyncio.gather(*(informer.stop() for informer in self.informers))

    # --- what there is ------------------------------------------------------------------------------------------------
    def device(self, key: Key) -> Object | None:
        """The Device, in the version that is served."""
        return self._devices.cache.get(key) or self._older.cache.get(key)

    def node(self, name: str) -> Object | None:
        """The Node, if its sensors are for sale."""
        return self._nodes.cache.get(("", name))

    def sells(self, board: Board) -> bool:
        """Whether the sensors of a Device are for sale."""
        return ("", board.node) in self._nodes.cache

    def state(self, key: Key) -> str:
        """What KubeEdge says about the connection to a Device."""
        return state_of(self.device(key) or {}, self._states.cache.get(key))

    def flavor(self, namespace: str, name: str) -> Object | None:
        """A Flavor by name."""
        return self._flavors.cache.get((namespace, name))

    def flavors_of(self, key: Key) -> list[Object]:
        """The Flavors that were made for a Device."""
        return self._flavors.cache.by_index("device", key)

    def sold_behind(self, key: Key, node: str) -> Decimal:
        """Readings a second that were sold of the node, if any are of this Device; else that is no matter of its."""
        sells = any(self.budget.sells(key_of(flavor)) for flavor in self.flavors_of(key))
        return self.budget.sold(label_of(node)) if sells else Decimal(0)

    def learn(self, flavor: Object) -> None:
        """Take the answer to our own write of a Flavor; it is no news."""
        self._own = True
        try:
            self._flavors.learn(flavor)
        finally:
            self._own = False

    def learn_device(self, device: Object) -> None:
        """Take the answer to our own write of a Device."""
        (self._devices if self._devices.served else self._older).learn(device)

    # --- whom it concerns ---------------------------------------------------------------------------------------------
    def _all(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._add(key)

    def _on_device(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        key = key_of(obj)
        new = self.device(key)  # while both versions are followed, the newer one counts
        if new is None or deleting(new):
            self._told.pop(key, None)
            self._all({key, *self.claims.drop(key)})
            return
        board, said = board_of(new), (new.get("status") or {}).get("conditions")
        told = (board, state_of(new, None), said)
        if self._told.get(key) == told:
            return  # KubeEdge writes readings into Devices, which are no matter of ours
        self._told[key] = told
        self._all({key, *(self.claims.put(board) or ())})

    def _on_state(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        if state_of({}, old) != state_of({}, new):
            self._add(key_of(obj))

    def _on_node(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        matters = [one and (one["metadata"].get("annotations"), is_cut_off(one)) for one in (old, new)]
        if old is None or new is None or matters[0] != matters[1]:
            self._all(self.claims.on_node(obj["metadata"]["name"]))

    def _on_flavor(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        touched = self.budget.put(new) if new is not None else self.budget.drop(key_of(obj))
        for node in touched:
            self._all(self.claims.on_node(node))
        if not self._own:
            self._all({key for one in (old, new) if one is not None for key in _devices_of(one)})

    def _on_config(self, _old: Object | None, new: Object | None) -> None:
        try:
            identity = identity_of(new) if new is not None else None
        except Invalid as problem:
            log.warning("nothing is offered: %s", problem)
            identity = None
        if new is None:
            log.warning("nothing is offered: there is no ConfigMap %s/%s to say who sells", self._namespace, IDENTITY)
        if identity != self.identity:
            self.identity = identity
            offered = {key for flavor in self._flavors.cache for key in _devices_of(flavor)}
            self._all([*self.claims.keys(), *offered])

    def _newer_came(self) -> None:
        """KubeEdge was upgraded: v1beta1 is served now."""
        for device in list(self._devices.cache):
            self._on_device(None, device)


def _devices_of(flavor: Object) -> Iterable[Key]:
    """The Device that a Flavor was made for: as its owner, or by the label."""
    namespace = flavor["metadata"].get("namespace") or ""
    owners = flavor["metadata"].get("ownerReferences") or ()
    names = {owner["name"] for owner in owners if owner.get("kind") == kinds.DEVICE.kind}
    label = labels_of(flavor).get(DEVICE_LABEL)
    return [(namespace, name) for name in names or ({label} if label else ())]
