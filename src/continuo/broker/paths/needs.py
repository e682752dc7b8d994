"""Which paths the broker's pods need, kept as they come and go: counted, never scanned."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from continuo.federation.paths import ROOT_CID, Ends, Knowledge, through, used_by
from continuo.federation.reflection.spaces import consumer_of, root_consumer_of
from continuo.federation.reflection.twin import OPAQUE
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.meta import Key, Object, annotations_of, key_of, labels_of
from continuo.runtime.informer import Informer, Watch

Changed = Callable[[Ends], None]
Judged = Callable[[Key], None]


def _essentials(pod: Object) -> Object:
    """What of a pod is looked at here: a broker has ten thousands of them."""
    metadata = pod["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion") if name in metadata}
    said = {name: value for name, value in annotations_of(pod).items() if name == ROOT_CID}
    marks = {name: value for name, value in labels_of(pod).items() if name == OPAQUE}
    return {
        "metadata": {**kept, "annotations": said, "labels": marks},
        "spec": {"nodeName": pod["spec"].get("nodeName")},
        "status": {"phase": (pod.get("status") or {}).get("phase")},
    }


class Needs:
    """The paths in use."""

    def __init__(self, broker: Cluster, broker_id: str, changed: Changed, pods: Informer | None = None) -> None:
        self._changed = changed
        self.known = Knowledge(broker_id, frozenset({broker_id}))
        self._pods = pods or Informer(
            broker, Watch(kinds.POD, trim=_essentials, indexers={"in": lambda pod: [key_of(pod)[0]]})
        )
        self._spaces = Informer(broker, Watch(kinds.NAMESPACE))
        self._expected: dict[str, tuple[str, str]] = {}
        self._of_pod: dict[Key, tuple[Ends, ...]] = {}
        self._count: Counter[Ends] = Counter()
        self._held: dict[str, Ends] = {}
        self._holds: Counter[Ends] = Counter()
        self._judged: list[Judged] = []
        self._started = False

    async def start(self) -> None:
        """Return when everything that is there is counted. Once it has, another call does nothing."""
        if self._started:
            return
        self._started = True
        self._spaces.start()
        self._pods.start()
        await asyncio.gather(self._spaces.synced.wait(), self._pods.synced.wait())
        self._pods.on_change(self._pod_changed)
        self._spaces.on_change(self._space_changed)

    async def close(self) -> None:
        """Count no more."""
        if not self._started:
            return
        self._started = False
        await asyncio.gather(self._pods.stop(), self._spaces.stop())

    def on_judged(self, callback: Judged) -> Callable[[], None]:
        """Call back with each pod for which `through` is another one though the pod is as it was; returns what ends that."""
        self._judged.append(callback)
        return lambda: self._judged.remove(callback)

    def hold(self, who: str, pair: Ends | None) -> None:
        """Let somebody need this path, whatever pods there are, and no other one any more; None: none."""
        before = self._held.pop(who, None)
        if pair is not None:
            self._held[who] = pair
        if pair == before:
            return
        for changed, step in ((before, -1), (pair, 1)):
            if changed is not None:
                self._holds[changed] += step
                self._changed(changed)

    def expect(self, who: str, cluster: str | None, node: str = "") -> None:
        """On somebody's account the broker can make networks to a cluster, for which the node stands; None: no more."""
        before = self._expected.pop(who, None)
        if cluster is not None:
            self._expected[who] = cluster, node
        if self._expected.get(who) == before:
            return
        broker = self.known.broker
        clusters = frozenset({broker, *(cluster for cluster, _ in self._expected.values())})
        nodes = {node: cluster for cluster, node in self._expected.values() if node}
        if (clusters, nodes) == (self.known.clusters, self.known.nodes):
            return
        earlier, self.known = self.known, Knowledge(broker, clusters, nodes)
        for pod in list(self._pods.cache):  # all of them, which is rare: clusters come and go by hand
            consumers = self._consumers(key_of(pod)[0])
            self._judge_anew(pod, through(pod, consumers[0], earlier))

    def through(self, pod: Object) -> bool:
        """Whether a pod is reached through the broker."""
        return through(pod, self._consumers(key_of(pod)[0])[0], self.known)

    def __contains__(self, pair: Ends) -> bool:
        return self._count[pair] > 0 or self._holds[pair] > 0

    def pods(self, pair: Ends) -> int:
        """How many pods need a path."""
        return self._count[pair]

    @property
    def all(self) -> list[Ends]:
        """Every path that is needed."""
        held = {pair for pair, count in self._holds.items() if count > 0}
        return [*held, *(pair for pair, count in self._count.items() if count > 0 and pair not in held)]

    def _consumers(self, namespace: str) -> tuple[str | None, str | None]:
        return _consumers(self._spaces.cache.get(("", namespace)))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None:
            wanted = used_by(new, self._consumers(key_of(new)[0]), self.known) if new is not None else ()
            self._set(key_of(obj), wanted)

    def _space_changed(self, old: Object | None, new: Object | None) -> None:
        """A namespace may be marked after its first pod has come."""
        obj = new if new is not None else old
        if obj is not None and _consumers(old) != _consumers(new):
            earlier = _consumers(old)[0]
            for pod in list(self._pods.cache.by_index("in", obj["metadata"]["name"])):
                self._judge_anew(pod, through(pod, earlier, self.known))

    def _judge_anew(self, pod: Object, before: bool) -> None:
        self._pod_changed(pod, pod)
        if self.through(pod) != before:
            for callback in self._judged:
                callback(key_of(pod))

    def _set(self, key: Key, wanted: tuple[Ends, ...]) -> None:
        before = self._of_pod.pop(key, ())
        if wanted:
            self._of_pod[key] = wanted
        for pairs, step in ((before, -1), (wanted, 1)):
            for pair in pairs if before != wanted else ():
                self._count[pair] += step
                if self._count[pair] == 0:
                    del self._count[pair]
                self._changed(pair)


def _consumers(namespace: Object | None) -> tuple[str | None, str | None]:
    """Whose pods are in a namespace, and from where they came here."""
    return root_consumer_of(namespace), consumer_of(namespace)
