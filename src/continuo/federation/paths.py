"""Direct data paths: which pairs of clusters need a network between them, and the steps that give or take it. Pure.

A broker passes pods on; their traffic must not pass through it. So for each consumer and provider of which a pod is in use
there is a path: the network of a link and nothing else, no access and no resources. A path is known by a label on its
tenant namespaces, which are made first and go last; a link that others made is used as it is, and never taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from continuo.federation import network
from continuo.federation.compare import unique
from continuo.federation.model import Apply, ClusterWrite, LinkPhase, LinkProgress, LinkSettings
from continuo.federation.preflight import preflight
from continuo.federation.reflection.twin import OPAQUE
from continuo.federation.state import EndState
from continuo.federation.steps import Step
from continuo.federation.unlink import retreat
from continuo.resources.meta import Object, annotations_of, key_of, labels_of
from continuo.resources.reflected import GONE_PHASES

PATH = "continuo.dev/path"
"""Label of a path's tenant namespaces: the broker that made it."""
ROOT_CID = "brokering.liqo.io/root-cid"
Ends: TypeAlias = tuple[str, str]
"""The identifiers of two clusters, in order, so that a path is the same from both ends."""


def ends(one: str, other: str) -> Ends:
    """The pair, whoever is named first."""
    return (one, other) if one < other else (other, one)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Which clusters a broker can join, and what it calls itself."""

    broker: str = ""
    clusters: frozenset[str] | None = None
    """None: all that anybody names."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    """By virtual node in the broker's cluster: the cluster for which it stands."""

    def knows(self, cluster: str) -> bool:
        """Whether the broker can make networks to a cluster."""
        return self.clusters is None or cluster in self.clusters


ANY = Knowledge()


def through(pod: Object, consumer: str | None, known: Knowledge = ANY) -> bool:
    """Whether a pod is reached through the broker: by who is told nothing, and where the broker does not know both ends."""
    runs_in = annotations_of(pod).get(ROOT_CID)
    if not consumer or not runs_in or not known.broker:
        return False
    return labels_of(pod).get(OPAQUE) == "true" or not (known.knows(consumer) and known.knows(runs_in))


def used_by(pod: Object, consumers: Sequence[str | None], known: Knowledge = ANY) -> tuple[Ends, ...]:
    """The paths that a pod needs; none before it runs.

    `consumers`: the cluster from which the pod set out, then the one from which it came here. One path from the first to
    where the pod runs; if it is reached through the broker, one for each hop beside that. Further hops are others' to make.
    """
    runs_in, root = annotations_of(pod).get(ROOT_CID), consumers[0] if consumers else None
    if not root or not runs_in or runs_in == root or (pod.get("status") or {}).get("phase") in GONE_PHASES:
        return ()
    if not through(pod, root, known):
        return (ends(root, runs_in),)
    near = next((each for each in consumers if each and known.knows(each)), None)
    behind = runs_in if known.knows(runs_in) else known.nodes.get(pod["spec"].get("nodeName") or "")
    return tuple(ends(known.broker, other) for other in (near, behind) if other and other != known.broker)


def in_use(
    pods: Iterable[Object], consumers_of: Callable[[str], Sequence[str | None]], known: Knowledge = ANY
) -> frozenset[Ends]:
    """All paths that pods of a broker need; `consumers_of` is asked by namespace."""
    return frozenset(pair for pod in pods for pair in used_by(pod, consumers_of(key_of(pod)[0]), known))


def marked(end: EndState, broker: str) -> bool:
    """Whether this end's half is this broker's path."""
    return end.tenant_namespace is not None and labels_of(end.tenant_namespace).get(PATH) == broker


def of_others(first: EndState, second: EndState, broker: str) -> bool:
    """Whether somebody else joined the clusters, or has built more than a network on what we made."""
    spaces = any(end.tenant_namespace is not None and not marked(end, broker) for end in (first, second))
    return spaces or any(end.slices or end.virtual_nodes or end.identity or end.tenant for end in (first, second))


def advance(first: EndState, second: EndState, broker: str, settings: LinkSettings | None = None) -> LinkProgress:
    """The next writes of a path, and where it stands. Level-triggered: apply the writes, look again."""
    settings = settings or LinkSettings()
    steps = network.steps(first, second, settings)
    if of_others(first, second, broker):
        return _joined_by_others(first, second, steps)
    failed = next(
        (check for end, peer in ((first, second), (second, first)) for check in preflight(end, peer, settings)
         if not check.ok), None,
    )  # fmt: skip
    done = sum(step.done for step in steps)
    if failed is not None:
        return LinkProgress(LinkPhase.PENDING, failed.name, failed.message, done, len(steps))
    open_steps = [step for step in steps if not step.done]
    if not open_steps:
        return LinkProgress(LinkPhase.CONNECTED, "Connected", _joined(first, second), done, len(steps))
    writes = unique(signed(write, broker) for step in open_steps for write in step.writes)
    broken = any(step.broken for step in open_steps)
    told = next((step for step in open_steps if step.broken), open_steps[0])
    phase = LinkPhase.DEGRADED if broken else LinkPhase.PEERING
    return LinkProgress(phase, told.reason, f"waiting for {told.waiting}", done, len(steps), writes)


def withdraw(first: EndState, second: EndState, broker: str) -> LinkProgress:
    """The next deletions of a path that nobody needs any more; what is not ours is left alone.

    An end that does not answer does not hold the other one up: its half has our mark and is found when it is back.
    """
    ours = marked(first, broker) or marked(second, broker)
    if not ours and (first.tenant_namespace is not None or second.tenant_namespace is not None):
        return LinkProgress(LinkPhase.GONE, "LinkedByOthers", "what joins the clusters is not a path of ours", 0, 0)
    if any(end.slices or end.virtual_nodes or end.identity or end.tenant for end in (first, second)):
        message = f"{first.name} and {second.name} have become a whole link, which others look after"
        return LinkProgress(LinkPhase.GONE, "TakenOver", message, 0, 0)
    kept = tuple(end if marked(end, broker) else _nothing(end) for end in (first, second))
    return retreat(kept[0], kept[1], LinkSettings(force=True))


def _nothing(end: EndState) -> EndState:
    """An end of which nothing is ours to be removed, but for what Liqo derived."""
    if end.tenant_namespace is None:
        return end
    return replace(
        EndState(end.name, end.cluster_id, end.peer_id, ready=end.ready, reachable=end.reachable),
        components=end.components,
    )


def _joined(first: EndState, second: EndState) -> str:
    return f"{first.name} and {second.name} reach each other directly"


def _joined_by_others(first: EndState, second: EndState, steps: list[Step]) -> LinkProgress:
    """Used while it stands; if it does not, that is for those to mend who made it."""
    waiting = next((step for step in steps if not step.done), None)
    done = sum(step.done for step in steps)
    if waiting is None:
        return LinkProgress(LinkPhase.CONNECTED, "LinkedByOthers", _joined(first, second), done, len(steps))
    message = f"{first.name} and {second.name} are linked by others, whose link waits for {waiting.waiting}"
    return LinkProgress(LinkPhase.PENDING, "LinkedByOthers", message, done, len(steps))


def signed(write: ClusterWrite, broker: str) -> ClusterWrite:
    """Tenant namespaces carry whose path they are part of, from their first moment on."""
    if not isinstance(write.op, Apply) or write.op.object["kind"] != "Namespace":
        return write
    obj = write.op.object
    metadata = {**obj["metadata"], "labels": {**labels_of(obj), PATH: broker}}
    return ClusterWrite(write.cluster, Apply({**obj, "metadata": metadata}))
