"""The objects of a trade as the seller makes them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from continuo.edge.node import SELLER, SIDE, NodeIdentity
from continuo.edge.rear import names
from continuo.edge.rear.names import BUYER, FINALIZER, HOLDS, TRADE
from continuo.edge.rear.times import seconds, stamp
from continuo.resources.kinds import ALLOCATION, FLUIDOS_CONTRACT, SECRET, TRANSACTION
from continuo.resources.meta import Object, annotations_of, labels_of

FLAVORS = "rear.continuo.dev/flavors"
"""Annotation of a Transaction: all flavors that it holds, that which was asked for first."""
_PRIVATE = (HOLDS, "rear.continuo.dev/rest", "kubectl.kubernetes.io/last-applied-configuration")


def secret(transaction: str, namespace: str, contents: dict[str, str], until: float) -> Object:
    """What a buyer's endpoints ask for."""
    meta = {
        "labels": {SIDE: SELLER, TRADE: transaction},
        "annotations": {"rear.continuo.dev/until": stamp(until)},
    }
    return SECRET.new(names.secret_name(transaction), namespace, metadata=meta, type="Opaque", stringData=contents)


def secret_until(found: Object) -> float:
    """Until when a Secret of which nothing else is known may be part of a reservation that is being made."""
    return seconds(annotations_of(found).get("rear.continuo.dev/until")) or 0.0


def transaction(
    name: str,
    namespace: str,
    flavors: Iterable[str],
    buyer: NodeIdentity,
    who: str,
    configuration: Object | None,
    until: float,
) -> Object:
    """A reservation."""
    ordered = list(flavors)
    meta = {
        "labels": {SIDE: SELLER},
        "annotations": {BUYER: who, FLAVORS: msgspec.json.encode(ordered).decode()},
    }
    spec: Object = {
        "flavorID": ordered[0], "buyer": buyer.to_object(), "clusterID": buyer.liqo_id, "expirationTime": stamp(until),
    }  # fmt: skip
    if configuration is not None:
        spec["configuration"] = configuration
    return TRANSACTION.new(name, namespace, metadata=meta, spec=spec)


def flavors_of(found: Object) -> list[str]:
    """All flavors of a transaction, that which was asked for first."""
    try:
        told = msgspec.json.decode(annotations_of(found).get(FLAVORS) or "[]", type=list[str])
    except (msgspec.DecodeError, msgspec.ValidationError):
        told = []
    own: str = found["spec"]["flavorID"]
    return [own, *(name for name in told if name != own)]


def contract(found: Object, flavor: Object, seller: NodeIdentity, until: float) -> Object:
    """What a transaction becomes when it is bought. A finalizer holds it until the trade is wound up."""
    spec, meta = found["spec"], found["metadata"]
    own: str = meta["name"]
    told: Object = {
        "flavor": copy_of(flavor), "transactionID": own, "buyer": spec["buyer"], "seller": seller.to_object(),
        "buyerClusterID": spec.get("clusterID", ""), "expirationTime": stamp(until),
        "peeringTargetCredentials": {"liqoID": seller.liqo_id},
        "extraInformation": {},
    }  # fmt: skip
    told |= {key: spec[key] for key in ("configuration", "ingressTelemetryEndpoint") if spec.get(key) is not None}
    about = {
        "labels": {SIDE: SELLER}, "finalizers": [FINALIZER],
        "annotations": {BUYER: annotations_of(found).get(BUYER, "")},
    }  # fmt: skip
    name = names.contract_name(spec["flavorID"], own)
    return FLUIDOS_CONTRACT.new(name, meta["namespace"], metadata=about, spec=told)


def copy_of(flavor: Object) -> Object:
    """A Flavor as a Contract keeps it: without what concerns other buyers."""
    meta = flavor["metadata"]
    kept = {key: meta[key] for key in ("name", "namespace", "uid", "creationTimestamp") if key in meta}
    notes = {key: value for key, value in annotations_of(flavor).items() if key not in _PRIVATE}
    if labels := labels_of(flavor):
        kept["labels"] = labels
    if notes:
        kept["annotations"] = notes
    made = {"apiVersion": flavor["apiVersion"], "kind": flavor["kind"], "metadata": kept, "spec": flavor["spec"]}
    return {**made, "status": flavor["status"]} if flavor.get("status") else made


def allocation(sold: Object) -> Object:
    """The seller's Allocation: what opens the data path, or lends the slice."""
    spec, meta = sold["spec"], sold["metadata"]
    flavor = spec["flavor"]["metadata"]["name"]
    owner = {
        "apiVersion": sold["apiVersion"], "kind": sold["kind"], "name": meta["name"], "uid": meta["uid"],
    }  # fmt: skip
    about = {"labels": {SIDE: SELLER}, "ownerReferences": [owner]}
    reference = {
        "name": meta["name"], "namespace": meta["namespace"], "apiVersion": sold["apiVersion"], "kind": sold["kind"],
    }  # fmt: skip
    spec_ = {"forwarding": False, "contract": reference}
    return ALLOCATION.new(
        names.allocation_name(flavor, spec["transactionID"]), meta["namespace"], metadata=about, spec=spec_
    )


def phase(word: str, message: str, now: float, before: Object | None = None) -> Object:
    """A PhaseStatus; its start is that of the one before, if that was the same phase."""
    old = ((before or {}).get("status") or {}).get("phase") or {}
    at = stamp(now)
    said: Object = {"phase": word, "message": message, "lastChangeTime": at, "startTime": old.get("startTime") or at}
    return said | ({"endTime": at} if word in ("Solved", "Failed", "Timed Out", "Inactive") else {})


def phase_of(found: Object) -> str:
    """The word in it."""
    return str((((found.get("status") or {}).get("phase")) or {}).get("phase") or "")
