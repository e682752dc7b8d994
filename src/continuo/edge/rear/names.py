"""What objects of a trade are called, so that whoever comes after a crash finds them without remembering anything."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from continuo.edge.rear.times import seconds
from continuo.resources.meta import Object

MANAGER = "continuo-rear"
FINALIZER = "rear.continuo.dev/trade"
"""Of Flavors that are held, and of Contracts: they go when the trade is wound up."""
HOLDS = "rear.continuo.dev/holds"
BUYER = "rear.continuo.dev/buyer"
"""Annotation of Transactions and Contracts: who proved to be the buyer."""
WITHDRAWN = "continuo.dev/withdrawn"
"""Annotation of a Flavor whose sensor is gone while somebody holds it: why."""
DEVICE = "continuo.dev/device"
"""Label of a Flavor that the Edge Resource Manager keeps."""
REST_OF = "rear.continuo.dev/rest-of"
"""Annotation of a flavor that offers a rest: the one from which all of it was cut."""
TRADE = "rear.continuo.dev/transaction"
"""Label of Secrets: the transaction they belong to."""
SENSOR, K8SLICE = "Sensor", "K8Slice"
TYPES = {"k8slice": K8SLICE, "vm": "VM", "service": "Service", "sensor": SENSOR}
"""Types of flavors by their spelling on the wire."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,180}[a-z0-9])?")
_TRANSACTION = re.compile(r"[0-9a-z]([-0-9a-z.]{0,100}[0-9a-z])?")


def type_of(spelled: object) -> str | None:
    """The type of a flavor as objects spell it, whatever the capitals and the number; None: there is no such type."""
    word = str(spelled).lower()
    return TYPES.get(word) or TYPES.get(word.removesuffix("s"))


def is_name(text: object) -> bool:
    """Whether it may be a part of an object's name."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def is_transaction(text: object) -> bool:
    """Whether it may be a transaction's ID, in lower case."""
    return isinstance(text, str) and _TRANSACTION.fullmatch(text) is not None


def transaction_id(buyer: str, flavor: Object, terms: Any) -> str:
    """The same for the same buyer, flavor and terms: 32 hex digits, and the flavor's age where others have a time."""
    meta = flavor["metadata"]
    what = msgspec.json.encode([buyer, meta["uid"], terms], order="deterministic")
    born = round((seconds(meta.get("creationTimestamp")) or 0.0) * 1e9)
    return f"{hashlib.sha256(what).hexdigest()[:32]}-{born}"


def digest(text: str, length: int = 8) -> str:
    """A few hex digits of it."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def contract_name(flavor: str, transaction: str) -> str:
    """The same at the seller's and the buyer's."""
    return f"contract-{flavor}-{digest(transaction)}".replace(".", "-")


def allocation_name(flavor: str, transaction: str) -> str:
    """The Allocation that goes with it."""
    return f"allocation-{flavor}-{digest(transaction)}"


def secret_name(transaction: str) -> str:
    """The Secret with what a buyer's endpoints ask for."""
    return f"endpoints-{transaction}"


def candidate_name(flavor: str, seller: str = "") -> str:
    """`seller` tells those apart that came from two sellers under one name."""
    return f"peeringcandidate-{flavor}-{digest(seller, 4)}" if seller else f"peeringcandidate-{flavor}"
