"""Contract objects as the catalog that sold them follows them: one that somebody deletes or changes is found out.

What is found in a cache is asked of the API server before it is believed: a contract ends once, and for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from continuo.broker.catalog.following import Finding
from continuo.broker.catalog.peering import PeeringRefused
from continuo.broker.contracts import terms
from continuo.broker.contracts.terms import MANAGER
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import CONTRACT
from continuo.resources.errors import Conflict, Forbidden, Invalid, NotFound, ServiceUnavailable
from continuo.resources.meta import Kind, Object
from continuo.runtime.informer import Informer, Watch

if TYPE_CHECKING:
    from continuo.broker.catalog.contracts import Contract

_SOLD = ("consumer", "provider", "offer", "plan", "resources", "features")


class Followed:
    """Implements `broker.catalog.following.Following`."""

    def __init__(self, broker: Cluster, look: Callable[[str | None], None]) -> None:
        self._broker, self._look = broker, look
        self._informer = Informer(broker, Watch(CONTRACT))
        self._informer.on_change(self._changed)

    async def run(self) -> None:
        """Follow until cancelled."""
        self._informer.start()
        try:
            await self._informer.synced.wait()
            self._look(None)  # what went while nobody followed is told by nobody
            await asyncio.Event().wait()
        finally:
            await self._informer.stop()

    def current(self) -> bool:
        """Whether every change until now is known."""
        return self._informer.synced.is_set() and self._informer.stale_since is None

    async def find(self, contract: Contract) -> Finding | None:
        """What is wrong with the object of an active contract; raises ApiError where that cannot be told."""
        if judge(contract, self._informer.cache.get(("", contract.id))) is None:
            return None
        finding = judge(contract, await find(self._broker, CONTRACT, contract.id))
        if finding is not None and finding.what == "gone":
            await self._is_the_one(contract)
        return finding

    async def mend(self, contract: Contract) -> None:
        """Put back what was sold; raises PeeringRefused where the API server lets nobody change a Contract."""
        found = await find(self._broker, CONTRACT, contract.id)
        if found is None:
            return  # found out by itself
        meta = {"uid": found["metadata"]["uid"], "resourceVersion": found["metadata"]["resourceVersion"]}
        patch = {"metadata": meta, "spec": back(found.get("spec") or {}, spec_of(contract))}
        try:
            await self._broker.patch(CONTRACT, contract.id, patch, manager=MANAGER)
        except (Invalid, Forbidden) as error:
            raise PeeringRefused(str(error)) from error

    def _changed(self, old: Object | None, new: Object | None) -> None:
        """Only what is sold matters, and whether it is there: statuses are written all the time."""
        obj = new if new is not None else old
        if obj is not None and (old is None or new is None or _matters(old) != _matters(new)):
            self._look(obj["metadata"]["name"])

    async def _is_the_one(self, contract: Contract) -> None:
        """Raises Conflict where this is another cluster than the one that keeps the contract: nothing is gone there."""
        if contract.place and (here := await identity_of(self._broker)) and here != contract.place:
            raise Conflict(
                f"cluster {self._broker.name} is not the one that keeps contract {contract.id}: start the catalog with "
                "the kubeconfig of that one, or end the contract"
            )


def spec_of(contract: Contract) -> Object:
    """The Contract object's spec."""
    amounts = {name: amount for name, amount in contract.resources.items() if not isinstance(amount, bool)}
    features = sorted(name for name, amount in contract.resources.items() if amount is True)
    return {
        "consumer": contract.buyer, "provider": contract.provider, "offer": contract.offer, "plan": contract.plan,
        "resources": terms.amounts(amounts), **({"features": features} if features else {}),
    }  # fmt: skip


def judge(contract: Contract, found: Object | None) -> Finding | None:
    """What is wrong with the object of an active contract; pure."""
    if found is None:
        return Finding("gone", "ended by the broker: its Contract was deleted there, and not by the catalog")
    if (said := found["metadata"].get("deletionTimestamp")) is not None:
        why = f"ended by the broker: its Contract was deleted there at {said}, and not by the catalog"
        return Finding("gone", why, datetime.fromisoformat(said).timestamp())
    sold, spec = spec_of(contract), found.get("spec") or {}
    other = [name for name in _SOLD if _plain(spec.get(name)) != _plain(sold.get(name))]
    if not other:
        return None
    return Finding("changed", f"ended by the broker: its Contract was changed there ({', '.join(other)})")


def back(spec: Object, sold: Object) -> Object:
    """The merge patch that makes of a spec what was sold; pure."""
    amounts = {**dict.fromkeys(spec.get("resources") or {}), **sold["resources"]}
    return {**dict.fromkeys(_SOLD), **sold, "resources": amounts}


async def find(cluster: Cluster, kind: Kind, name: str) -> Object | None:
    """The object; None: there is none. Raises ServiceUnavailable where the kind is not known."""
    try:
        return await cluster.get(kind, name)
    except NotFound as error:
        if error.details.get("name") != name:  # not the object is missing, but the kind
            raise ServiceUnavailable(
                f"the broker's cluster does not know the kind {kind.kind}: "
                "run `continuo install --crds-only | kubectl apply --server-side -f -` there"
            ) from error
        return None


async def identity_of(cluster: Cluster) -> str:
    """What no other cluster has; empty where we may not see that."""
    try:
        uid: str = (await cluster.get(kinds.NAMESPACE, "kube-system"))["metadata"]["uid"]
    except (Forbidden, NotFound):
        return ""
    return uid


def _matters(obj: Object) -> object:
    return obj["metadata"]["uid"], "deletionTimestamp" in obj["metadata"], obj.get("spec")


def _plain(value: object) -> object:
    """A set whatever its order; nothing whether it is said or not."""
    return sorted(value) if isinstance(value, list) else value or None
