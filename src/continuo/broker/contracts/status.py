"""What is said about a contract in its status. Pure; nothing secret is ever in it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from continuo.resources.broker import ContractStatus, Mode
from continuo.resources.meta import Object, condition
from continuo.resources.orchestration_status import Condition

NO_PROVIDER, NO_CONSUMER, NO_KUBECONFIG = "ProviderUnknown", "ConsumerUnknown", "NoKubeconfig"
NODE_TAKEN, NAMESPACE_TAKEN, INVALID = "NodeTaken", "NamespaceTaken", "Invalid"
REFUSALS = frozenset((NO_PROVIDER, NO_CONSUMER, NO_KUBECONFIG, NODE_TAKEN, NAMESPACE_TAKEN, INVALID))
"""Reasons that no waiting mends: somebody has to change something first."""
LINKED, HANDED_OVER, LINKING, UNREACHABLE, ENDING = "Linked", "HandedOver", "Linking", "Unreachable", "Ending"
_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Word:
    """How it is with a contract."""

    ready: bool
    reason: str
    message: str


def status_of(contract: Object, mode: Mode | None, node: str, namespace: str, said: Word, now: str) -> Object:
    """The whole status; the time of the condition moves only when its value does."""
    value, before = "True" if said.ready else "False", condition(contract, "Ready")
    same = before is not None and before.get("status") == value
    ready = Condition(
        type="Ready",
        status=value,
        observed_generation=contract["metadata"].get("generation"),
        last_transition_time=before["lastTransitionTime"] if before is not None and same else now,
        reason=said.reason,
        message=said.message[:_LONGEST],
    )
    status = ContractStatus(mode=mode, node=node, namespace=namespace, conditions=(ready,))
    made: Object = msgspec.json.decode(msgspec.json.encode(status))  # as it comes back: tuples are lists there
    return made
