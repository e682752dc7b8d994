"""The Node that stands for a remote cluster: what it offers, whether it is Ready, and its lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from continuo.federation.reflection.twin import MANAGER, VIRTUAL_NODE
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import Conflict, NotFound
from continuo.resources.meta import Object, condition, labels_of

LEASES = "kube-node-lease"
LEASE_SECONDS = 40
_INFO = {"kubeletVersion": "continuo", "operatingSystem": "linux"} | dict.fromkeys(
    ("architecture", "bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion", "machineID", "osImage",
     "systemUUID"), "",
)  # fmt: skip
"""The fields are required; what they ask for is many nodes' there."""
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")


class NodeKeeper:
    """Keeps one virtual node in its cluster."""

    def __init__(
        self,
        home: Cluster,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Object] = (),
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._home, self._name = home, name
        self._labels, self._taints = dict(labels or {}), tuple(taints)
        self._now = now or (lambda: datetime.now(UTC))
        self._said: tuple[bool, str, Mapping[str, str]] | None = None
        self._uid = ""

    async def register(self, remote: str) -> None:
        """Create the node, or take up the one that an earlier run made; anybody else's is refused."""
        try:
            node = await self._home.get(kinds.NODE, self._name)
        except NotFound:
            new = new_node(self._name, remote, labels=self._labels, taints=self._taints)
            node = await self._home.create(new, manager=MANAGER)
        if labels_of(node).get(VIRTUAL_NODE) != remote:
            raise Conflict(
                f"node {self._name} of cluster {self._home.name} exists and does not stand for that remote cluster: "
                "choose another name, or delete the node if nobody needs it"
            )
        self._uid = node["metadata"]["uid"]
        if self._labels and not self._labels.items() <= labels_of(node).items():
            await self._home.patch(kinds.NODE, self._name, {"metadata": {"labels": self._labels}}, manager=MANAGER)

    async def lament(self, why: str) -> None:
        """Say of a node that an earlier run left that its cluster does not answer; another one's is left alone."""
        node = await self._home.get(kinds.NODE, self._name)
        if VIRTUAL_NODE in labels_of(node):
            self._uid = node["metadata"]["uid"]
            await self.renew()
            await self.report(False, why, (node.get("status") or {}).get("allocatable") or {})

    async def report(self, ready: bool, why: str, offer: Mapping[str, str]) -> None:
        """Say whether the remote cluster takes pods, and what is on offer; written when it changed."""
        if self._said == (ready, why, offer):
            return
        node = await self._home.get(kinds.NODE, self._name)
        status = node_status(node, self._name, offer, ready=(ready, why), now=stamp(self._now()))
        await self._home.patch(kinds.NODE, self._name, {"status": status}, subresource="status", manager=MANAGER)
        self._said = ready, why, dict(offer)

    async def renew(self) -> None:
        """A sign of life: nodes whose lease is not renewed are taken for dead."""
        spec = {
            "holderIdentity": self._name, "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }  # fmt: skip
        try:
            await self._home.patch(kinds.LEASE, self._name, {"spec": spec}, LEASES, manager=MANAGER)
        except NotFound:
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": self._uid}
            lease = kinds.LEASE.new(self._name, LEASES, metadata={"ownerReferences": [owner]}, spec=spec)
            await self._home.create(lease, manager=MANAGER)


def new_node(
    name: str, remote: str, *, labels: Mapping[str, str] | None = None, taints: Sequence[Object] = ()
) -> Object:
    """A virtual node; nothing is scheduled on it that does not tolerate its taints."""
    own = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        VIRTUAL_NODE: remote,
        "node.kubernetes.io/exclude-from-external-load-balancers": "true",
    }
    taint = {"key": VIRTUAL_NODE, "value": "true", "effect": "NoSchedule"}
    return kinds.NODE.new(name, metadata={"labels": {**(labels or {}), **own}}, spec={"taints": [taint, *taints]})


def node_status(node: Object, name: str, offer: Mapping[str, str], *, ready: tuple[bool, str], now: str) -> Object:
    """The node's status; conditions keep the time of their last change. What it had and has no more is zero."""
    before = (node.get("status") or {}).get("allocatable") or {}
    amounts = {**dict.fromkeys(before, "0"), **offer}
    wanted = [("Ready", ready[0], "RemoteClusterAnswers" if ready[0] else "RemoteClusterUnreachable", ready[1])]
    wanted += [(kind, False, "NoPressure", "the remote cluster looks after its own nodes") for kind in _PRESSURES]
    conditions = []
    for kind, true, reason, message in wanted:
        value, known = "True" if true else "False", condition(node, kind)
        changed = known["lastTransitionTime"] if known and known.get("status") == value else now
        conditions.append(
            {"type": kind, "status": value, "reason": reason, "message": message, "lastHeartbeatTime": now,
             "lastTransitionTime": changed}
        )  # fmt: skip
    return {
        "capacity": amounts,
        "allocatable": amounts,
        "addresses": [{"type": "Hostname", "address": name}],
        "conditions": conditions,
        "nodeInfo": _INFO,
    }


def stamp(moment: datetime) -> str:
    """RFC 3339 with seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
