"""The selector's writes. Each is one request that says everything, so that the process may end after any of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from continuo.broker.policies.decisions import stamp
from continuo.broker.selector.names import DECISION, MANAGER
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import BROKER_POLICY, CONSUMER, Moving
from continuo.resources.errors import ApiError, Conflict, NotFound, TooManyRequests
from continuo.resources.meta import Key, Object, condition

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class Actor:
    """Writes to the broker's cluster."""

    def __init__(self, cluster: Cluster, now: Callable[[], float]) -> None:
        self._cluster, self._now = cluster, now

    async def bind(self, pod: Object, node: str, annotations: Mapping[str, str]) -> None:
        """Place the pod and store why, at once. Raises Conflict where somebody was quicker, or the pod is another one."""
        metadata = pod["metadata"]
        body = {
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {
                "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
                "annotations": annotations,
            },
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }  # fmt: skip
        await self._cluster.post(kinds.POD, metadata["name"], "binding", body, metadata["namespace"])

    async def refuse(self, pod: Object, message: str, told: bytes) -> Object | None:
        """Say on the pod why nobody takes it; None when it is gone."""
        metadata, at = pod["metadata"], stamp(self._now())
        annotation = with_head(told, {"provider": None, "message": message, "at": at})
        entry = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                 "lastTransitionTime": _since(pod, at)}  # fmt: skip
        body = {
            "metadata": {"uid": metadata["uid"], "annotations": {DECISION: annotation}},
            "status": {"conditions": [entry]},
        }
        try:
            return await self._cluster.patch(
                kinds.POD, metadata["name"], body, metadata["namespace"], type="strategic", subresource="status",
                manager=MANAGER,
            )  # fmt: skip
        except (NotFound, Conflict):
            return None

    async def write_ledger(self, consumer: Object, ledger: Sequence[Moving]) -> Object:
        """Write down the moves that are on; raises Conflict where somebody else wrote meanwhile."""
        version = consumer["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "status": {"moving": msgspec.to_builtins(tuple(ledger))}}
        name = consumer["metadata"]["name"]
        return await self._cluster.patch(CONSUMER, name, body, subresource="status", manager=MANAGER)

    async def evict(self, key: Key, uid: str) -> bool:
        """Let a pod go, which is asked for by its UID; False when a disruption budget does not allow it now."""
        body = {
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": key[1], "namespace": key[0]},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }  # fmt: skip
        try:
            await self._cluster.post(kinds.POD, key[1], "eviction", body, key[0])
        except (NotFound, Conflict):
            return True  # it is gone already, or another one has its name
        except TooManyRequests:
            return False
        return True

    async def judge_policy(self, obj: Object, problem: str | None) -> None:
        """Say on a policy whether it can be used."""
        status, reason = ("True", "Compiled") if problem is None else ("False", "BadExpression")
        message = problem or "every expression can be evaluated"
        known, generation = condition(obj, "Ready"), obj["metadata"].get("generation")
        if known is not None and (known.get("status"), known.get("message"), known.get("observedGeneration")) == (
            status, message, generation,
        ):  # fmt: skip
            return
        since = stamp(self._now())
        if known is not None and known.get("status") == status:
            since = known["lastTransitionTime"]
        entry = {"type": "Ready", "status": status, "reason": reason, "message": message[:32768],
                 "observedGeneration": generation, "lastTransitionTime": since}  # fmt: skip
        name = obj["metadata"]["name"]
        try:
            await self._cluster.patch(
                BROKER_POLICY, name, {"status": {"conditions": [entry]}}, subresource="status", manager=MANAGER
            )
        except NotFound:
            return
        except ApiError as error:
            log.warning("policy %s was not told that it is %s: %s", name, reason, error)


def with_head(told: bytes, head: dict[str, Any]) -> str:
    """The explanation of a class, which is JSON without its end, with what is this pod's own."""
    return f"{told.decode()},{_encode(head)[1:].decode()}"


def _since(pod: Object, at: str) -> str:
    known = condition(pod, "PodScheduled")
    since = known.get("lastTransitionTime") if known is not None and known.get("status") == "False" else None
    return since or at
