"""What clusters can take and what their pods asked for: sums, kept with every change of a node or pod that a watch tells of.

Pure. A pod is kept as little as it needs (`pod_summary`): thousands run on a cluster, and all of them count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from sys import intern
from typing import Any

from continuo.orchestrator import naming
from continuo.orchestrator.loops.model import Amounts, Capacity
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, is_true
from continuo.resources.quantities import quantity

NOTHING = Amounts()
Whose = tuple[str, str, str, str]
"""Namespace and name of an orchestration, application, component."""

WORTH_TELLING = 0.05
"""Part of what a cluster can take: smaller changes of what is asked of it are told with the next write."""

_REPELS = frozenset({"NoSchedule", "NoExecute"})
_EFFECTS_OF_TROUBLE = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Taints that come and go with a node's state, which is judged by its conditions."""


@lru_cache(maxsize=4096)
def _number(text: str) -> Fraction:
    try:
        return quantity(text)
    except ValueError:
        return Fraction(0)  # an API server stores no such quantity


def amounts(asked: Mapping[str, Any]) -> Amounts:
    """CPU, memory and GPUs of a map of resources; CPU is rounded up to a thousandth."""
    return _amounts(tuple((resource, str(amount)) for resource, amount in asked.items()))


@lru_cache(maxsize=4096)  # thousands of components and pods ask for a few different amounts
def _amounts(asked: tuple[tuple[str, str], ...]) -> Amounts:
    named, gpus = dict(asked), Fraction(0)
    cpu = _number(named.get("cpu", "0")) * 1000
    for resource, amount in asked:
        if resource.endswith("/gpu") or resource.startswith("gpu.intel.com/"):
            gpus += _number(amount)
    return Amounts(-int(-cpu // 1), int(_number(named.get("memory", "0"))), int(gpus))


def spelled(total: Amounts) -> dict[str, str]:
    """The other way round, as Kubernetes spells amounts: memory in whole MiB."""
    told = {"cpu": f"{total.cpu_millis}m", "memory": f"{total.memory_bytes // 2**20}Mi"}
    return told | ({"gpu": str(total.gpus)} if total.gpus else {})


def _pod_asks(spec: Object) -> Amounts:
    """What a scheduler reserves for a pod: its containers together, or the largest of those that run before them."""
    running, first = NOTHING, NOTHING
    for container in spec.get("containers") or ():
        running += _container(container)
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            running += _container(container)
        else:
            first = _larger(first, _container(container))
    return _larger(running, first) + amounts(spec.get("overhead") or {})


def _container(container: Object) -> Amounts:
    return amounts((container.get("resources") or {}).get("requests") or {})


def _larger(a: Amounts, b: Amounts) -> Amounts:
    return Amounts(
        max(a.cpu_millis, b.cpu_millis), max(a.memory_bytes, b.memory_bytes), max(a.gpus, b.gpus)
    )  # fmt: skip


@lru_cache(maxsize=16384)
def _weight(node: str, asks: Amounts, whose: Whose | None) -> Object:
    """Shared by all pods that weigh the same on the same node: it is never changed."""
    return {"nodeName": node, "asks": asks, "whose": whose}


def pod_summary(obj: Object) -> Object:
    """A pod reduced to its weight; where one of ours does not run, also to what explains it."""
    metadata, status, spec = obj["metadata"], obj.get("status") or {}, obj.get("spec") or {}
    labels = metadata.get("labels") or {}
    ours = labels.get(naming.MANAGED_BY) == "continuo"
    weight = _weight(intern(spec.get("nodeName") or ""), _pod_asks(spec), _whose(labels) if ours else None)
    kept: Object = {"name": metadata["name"], "namespace": intern(metadata.get("namespace") or "")}
    kept["resourceVersion"] = metadata.get("resourceVersion", "")
    if not ours or status.get("phase") == "Running":
        return {"metadata": kept, "spec": weight}
    kept["labels"] = labels
    told = {key: status[key] for key in ("phase", "conditions", "containerStatuses") if key in status}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": kept, "spec": weight, "status": told}


def _whose(labels: Mapping[str, str]) -> Whose:
    names = (naming.ORCHESTRATION_NAMESPACE, naming.ORCHESTRATION, naming.APPLICATION, naming.COMPONENT)
    first, second, third, fourth = (intern(labels.get(name, "")) for name in names)
    return first, second, third, fourth


def waits(pod: Object) -> bool:
    """Whether a summarised pod is one of ours that does not run."""
    return "status" in pod


def counts(kind: Kind, obj: Object) -> bool:
    """Whether an object is a summary of a pod or of a real node: virtual nodes are followed as they are."""
    summary = {kinds.POD: "asks", kinds.NODE: "ready"}.get(kind)
    return summary is not None and summary in (obj.get("spec") or {})


def node_summary(obj: Object) -> Object:
    """Of a real node only what it can take, and whether it does."""
    metadata = {key: obj["metadata"][key] for key in ("name", "resourceVersion")}
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    takes: Object = {"ready": is_true(obj, "Ready"), "cordoned": bool(spec.get("unschedulable"))}
    takes["open"] = not any(
        taint.get("effect") in _REPELS and not str(taint.get("key", "")).startswith(_EFFECTS_OF_TROUBLE)
        for taint in spec.get("taints") or ()
    )
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": takes,
            "status": {"allocatable": status.get("allocatable") or {}}}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Node:
    allocatable: Amounts
    ready: bool
    cordoned: bool
    open: bool

    @property
    def usable(self) -> bool:
        return self.ready and self.open and not self.cordoned


class Tally:
    """The sums of one cluster; a change costs the same however many pods there are."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}
        self._asked: dict[str, dict[Whose | None, Amounts]] = {}
        """By node, and of ours by component."""
        self._pending = NOTHING
        self._known: Capacity | None = None
        self._told: Capacity | None = None

    def pod(self, old: Object | None, new: Object | None) -> None:
        """A pod came, changed or went (summaries)."""
        before, after = old["spec"] if old is not None else None, new["spec"] if new is not None else None
        if before is after:
            return
        if before is not None:
            self._add(before["nodeName"], before["whose"], NOTHING - before["asks"])
        if after is not None:
            self._add(after["nodeName"], after["whose"], after["asks"])
        self._known = None

    def _add(self, node: str, whose: Whose | None, asks: Amounts) -> None:
        if not node:
            self._pending += asks
            return
        shares = self._asked.setdefault(node, {})
        total = shares.get(whose, NOTHING) + asks
        if total == NOTHING:
            shares.pop(whose, None)
        else:
            shares[whose] = total

    def node(self, old: Object | None, new: Object | None) -> None:
        """A node came, changed or went (summaries)."""
        if new is None:
            if old is not None:
                self._nodes.pop(old["metadata"]["name"], None)
        else:
            spec, can = new["spec"], amounts(new["status"]["allocatable"])
            self._nodes[new["metadata"]["name"]] = _Node(can, spec["ready"], spec["cordoned"], spec["open"])
        self._known = None

    def capacity(self) -> Capacity:
        """The sums over the nodes that are Ready and take pods."""
        if self._known is None:
            self._known = self._sum()
        return self._known

    def _sum(self) -> Capacity:
        allocatable, requested, usable = NOTHING, NOTHING, 0
        for name, node in self._nodes.items():
            if node.usable:
                usable += 1
                allocatable += node.allocatable
                for asks in self._asked.get(name, {}).values():
                    requested += asks
        nodes = self._nodes.values()
        cordoned = not usable and any(node.ready and node.cordoned for node in nodes)
        ready = any(node.ready for node in nodes) or not nodes
        return Capacity(allocatable, requested, self._pending, len(nodes), usable, cordoned, ready)

    def of(self, orchestration: tuple[str, str]) -> Amounts:
        """What the bound pods of an orchestration's components ask for, on the nodes that count."""
        total = NOTHING
        for name, node in self._nodes.items():
            for whose, asks in self._asked.get(name, {}).items() if node.usable else ():
                if whose is not None and whose[:2] == orchestration:
                    total += asks
        return total

    def worth_telling(self) -> bool:
        """Whether it is another picture than when this last held; small changes add up until it does."""
        now = self.capacity()
        if self._told is not None and about_equal(self._told, now):
            return False
        self._told = now
        return True


def about_equal(a: Capacity, b: Capacity) -> bool:
    """Whether two pictures differ so little that nobody would act otherwise."""
    if replace(a, requested=NOTHING, pending=NOTHING) != replace(b, requested=NOTHING, pending=NOTHING):
        return False
    if (a.pending == NOTHING) != (b.pending == NOTHING):
        return False
    return near(a.requested, b.requested, b.allocatable)


def near(a: Amounts, b: Amounts, whole: Amounts) -> bool:
    """Whether two amounts differ by less than is worth telling, of what there is."""
    pairs = (
        (a.cpu_millis, b.cpu_millis, whole.cpu_millis), (a.memory_bytes, b.memory_bytes, whole.memory_bytes),
        (a.gpus, b.gpus, whole.gpus),
    )  # fmt: skip
    return all(one == other or abs(one - other) < WORTH_TELLING * most for one, other, most in pairs)


def tally(nodes: Iterable[Object], pods: Iterable[Object]) -> Tally:
    """The sums of summaries at hand: for one look, without watches."""
    found = Tally()
    for node in nodes:
        found.node(None, node)
    for pod in pods:
        found.pod(None, pod)
    return found
