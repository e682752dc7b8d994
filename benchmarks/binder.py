"""The least that a broker's scheduler can be: whatever waits in a consumer's namespace goes to one node.

It stands in where the selector's decisions are not what is measured: it costs the same requests, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import Conflict, NotFound
from continuo.resources.meta import Key, Object, key_of
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer, Watch

SCHEDULER = "continuo-broker"


def placed_on(node: str) -> Callable[[Object], Object]:
    """The same choice, made while the copy is created."""

    def place(copy: Object) -> Object:
        return {**copy, "spec": {**copy["spec"], "nodeName": node}}

    return place


class Binder:
    """Binds the pods of one cluster that ask for this scheduler."""

    def __init__(self, cluster: Cluster, node: str) -> None:
        self._cluster, self._node = cluster, node
        self._pods = Informer(cluster, Watch(kinds.POD, fields="spec.nodeName="))
        self._controller: Controller[Key] = Controller("binder", self._bind, workers=16)

    async def start(self) -> None:
        self._pods.on_change(self._changed)
        self._pods.start()
        await self._pods.synced.wait()
        self._controller.start()

    async def stop(self) -> None:
        await self._controller.stop()
        await self._pods.stop()

    def _changed(self, _: Object | None, new: Object | None) -> None:
        if new is not None and new["spec"].get("schedulerName") == SCHEDULER and not new["spec"].get("nodeName"):
            self._controller.add(key_of(new))

    async def _bind(self, key: Key) -> Result:
        namespace, name = key
        target = {"apiVersion": "v1", "kind": "Node", "name": self._node}
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace},
            "target": target,
        }
        try:
            await self._cluster.post(kinds.POD, name, "binding", body, namespace)
        except (Conflict, NotFound):
            return DONE  # bound already, or gone
        return DONE
