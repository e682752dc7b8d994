"""What simulated containers use: as annotations say, else a small part of what they asked for, the same each time.

`continuo.dev/simulated-usage: cpu=350m,memory=64Mi` on a pod is what that pod uses. `continuo.dev/simulated-load:
cpu=1400m` on a Deployment is shared by its ready pods, wherever Liqo put them, so that more pods have less each. No
container uses more than its limit. A pod that does not run, or whose node is silent, is not measured.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from continuo.embedded.port import Api, Engine
from continuo.embedded.standins.liqo.names import CLUSTER_ID_CONFIG_MAP, CLUSTER_ID_KEY, ORIGIN
from continuo.embedded.standins.liqo.names import NAMESPACE as LIQO
from continuo.embedded.standins.objects import controller_of
from continuo.embedded.standins.workload.owned import pod_ready
from continuo.embedded.standins.workload.quantities import amount
from continuo.resources.errors import InternalError
from continuo.resources.kinds import CONFIG_MAP, DEPLOYMENT, NODE, NODE_METRICS, POD, POD_METRICS, REPLICA_SET
from continuo.resources.meta import Object, annotations_of, is_true, labels_of

USAGE, LOAD = "continuo.dev/simulated-usage", "continuo.dev/simulated-load"
WINDOW = 15
"""Seconds: a value is the average over the last full window, as metrics-server's."""
_RESOURCES = ("cpu", "memory")
_SYSTEM = {"cpu": 40, "memory": 200 << 20}
"""What runs on a node besides pods."""
_UNASKED = {"cpu": 2, "memory": 12 << 20}
"""What a container uses that asked for nothing."""

Amounts = dict[str, int]
"""Millicores of cpu, bytes of memory."""


@lru_cache(maxsize=1024)
def _parsed(text: str, where: str) -> tuple[tuple[str, int], ...]:
    found = []
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        try:
            if not equals or name not in _RESOURCES:
                raise ValueError(part)
            found.append((name, amount(name, value)))
        except ValueError:
            raise InternalError(f"{where} is {text!r}; it should look like cpu=350m,memory=64Mi") from None
    return tuple(found)


def _said(obj: Object, annotation: str) -> Amounts:
    text = annotations_of(obj).get(annotation)
    where = f"annotation {annotation} of {obj['metadata'].get('namespace')}/{obj['metadata']['name']}"
    return dict(_parsed(text, where)) if text else {}


class Metering:
    """Measures pods and nodes of any cluster of an engine, when asked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def pods(self, api: Api, pods: Iterable[Object]) -> list[Object]:
        """PodMetrics of those that run. Raises InternalError, naming an annotation that cannot be read."""
        look = _Look(self._engine, api)
        return [self._pod(look, pod) for pod in pods if look.measured(pod)]

    def nodes(self, api: Api, nodes: Iterable[Object]) -> list[Object]:
        """NodeMetrics of those that are Ready."""
        look = _Look(self._engine, api)
        wanted = [node for node in nodes if look.alive(node["metadata"]["name"])]
        names = {node["metadata"]["name"] for node in wanted}
        totals = {name: dict(_SYSTEM) for name in names}
        for pod in api.list(POD):
            node = (pod.get("spec") or {}).get("nodeName")
            if node in names and look.measured(pod):
                for used in look.used(pod).values():
                    for resource, value in used.items():
                        totals[node][resource] += value
        return [
            self._measured(NODE_METRICS.new(node["metadata"]["name"]), node)
            | {"usage": _spelled(totals[node["metadata"]["name"]])}
            for node in wanted
        ]

    def _pod(self, look: _Look, pod: Object) -> Object:
        metadata = pod["metadata"]
        found = self._measured(POD_METRICS.new(metadata["name"], metadata["namespace"]), pod)
        used = look.used(pod)
        return found | {"containers": [{"name": name, "usage": _spelled(part)} for name, part in used.items()]}

    def _measured(self, obj: Object, of: Object) -> Object:
        now = self._engine.now()
        at = datetime.fromtimestamp(now - now % WINDOW, UTC)
        metadata = {**obj["metadata"], "creationTimestamp": datetime.fromtimestamp(now, UTC).strftime(_FORMAT)}
        if labels := labels_of(of):
            metadata["labels"] = dict(labels)
        return {**obj, "metadata": metadata, "timestamp": at.strftime(_FORMAT), "window": f"{WINDOW}s"}


_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def _spelled(used: Mapping[str, int]) -> dict[str, str]:
    """As metrics-server spells it."""
    return {"cpu": f"{used.get('cpu', 0) * 1_000_000}n", "memory": f"{used.get('memory', 0) >> 10}Ki"}


class _Look:
    """One request: what was looked up for one pod serves the next."""

    def __init__(self, engine: Engine, api: Api) -> None:
        self._engine, self._api = engine, api
        self._alive: dict[str, bool] = {}
        self._homes: dict[str, Api | None] = {}
        self._shares: dict[tuple[str, str, str], Amounts] = {}

    def measured(self, pod: Object) -> bool:
        """Whether there is a figure of the pod."""
        running = (pod.get("status") or {}).get("phase") == "Running"
        return running and self.alive((pod.get("spec") or {}).get("nodeName") or "")

    def alive(self, node: str) -> bool:
        """Whether the node is Ready."""
        if node not in self._alive:
            found = self._api.find(NODE, node)
            self._alive[node] = found is not None and is_true(found, "Ready")
        return self._alive[node]

    def used(self, pod: Object) -> dict[str, Amounts]:
        """What each container uses."""
        containers = (pod.get("spec") or {}).get("containers") or []
        share = _said(pod, USAGE) or (self._share(pod) if pod_ready(pod) else {})
        return {
            container["name"]: {
                resource: _capped(container, resource, share[resource] // len(containers))
                if resource in share
                else _idle(pod, container, resource)
                for resource in _RESOURCES
            }
            for container in containers
        }

    def _share(self, pod: Object) -> Amounts:
        """The pod's part of the load on its Deployment."""
        metadata = pod["metadata"]
        origin = labels_of(pod).get(ORIGIN)
        home = self._home(origin) if origin else self._api
        original = home.find(POD, metadata["name"], metadata["namespace"]) if home is not None else None
        owner = controller_of(original) if original is not None else None
        if home is None or owner is None or owner.get("kind") != REPLICA_SET.kind:
            return {}
        key = (home.name, metadata["namespace"], owner["name"])
        if key not in self._shares:
            self._shares[key] = _of_deployment(home, metadata["namespace"], owner["name"])
        return self._shares[key]

    def _home(self, origin: str) -> Api | None:
        """The cluster of that Liqo ID."""
        if origin not in self._homes:
            self._homes[origin] = next((api for api in self._engine.clusters() if _liqo_id(api) == origin), None)
        return self._homes[origin]


def _liqo_id(api: Api) -> str | None:
    found = api.find(CONFIG_MAP, CLUSTER_ID_CONFIG_MAP, LIQO)
    return (found.get("data") or {}).get(CLUSTER_ID_KEY) if found is not None else None


def _of_deployment(home: Api, namespace: str, replica_set: str) -> Amounts:
    owned = home.find(REPLICA_SET, replica_set, namespace)
    owner = controller_of(owned) if owned is not None else None
    deployment = home.find(DEPLOYMENT, owner["name"], namespace) if owner is not None else None
    if deployment is None:
        return {}
    ready = int((deployment.get("status") or {}).get("readyReplicas") or 0)
    return {name: value // max(ready, 1) for name, value in _said(deployment, LOAD).items()}


def _idle(pod: Object, container: Object, resource: str) -> int:
    """Between 4 and 12 % of the request, for memory between 30 and 46 %: by the pod's name, so that it stays the same."""
    asked = ((container.get("resources") or {}).get("requests") or {}).get(resource)
    if asked is None:
        return _UNASKED[resource]
    odd = zlib.crc32(f"{pod['metadata'].get('namespace')}/{pod['metadata']['name']}".encode()) % 9
    percent = 4 + odd if resource == "cpu" else 30 + 2 * odd
    return _capped(container, resource, amount(resource, asked) * percent // 100)


def _capped(container: Object, resource: str, used: int) -> int:
    limit = ((container.get("resources") or {}).get("limits") or {}).get(resource)
    return used if limit is None else min(used, amount(resource, limit))
