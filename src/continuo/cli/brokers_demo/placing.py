"""A Deployment through the transparent orchestrator, and one through the opaque aggregator."""

from __future__ import annotations

from continuo.cli.brokers_demo import scene
from continuo.cli.brokers_demo.stage import Stage
from continuo.cli.catalog_why import decision_of, headline, rows_of
from continuo.cli.output import print_table
from continuo.federation.reflection.places import ROOT_CID
from continuo.federation.reflection.spaces import remote_name
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, is_true
from continuo.runtime.following import until

SHOP, BATCH = "shop", "batch"
REPLICAS = 4


def has_address(pod: Object) -> bool:
    """Whether the pod runs and can be reached."""
    return is_true(pod, "Ready") and bool((pod.get("status") or {}).get("podIP"))


async def deploy(stage: Stage, namespace: str, node: str, timeout: float) -> list[Object]:
    """Create the namespace and the Deployment at the consumer; its pods once all can be reached."""
    rome = stage[scene.BUYER]
    await rome.create(scene.space(namespace, node))
    await rome.create(scene.deployment(namespace, "web", REPLICAS, node))
    found = await until(
        rome, kinds.POD, lambda pods: sum(map(has_address, pods)) == REPLICAS, namespace, timeout=timeout,
        what=f"{REPLICAS} pods of {namespace} to be reachable",
    )  # fmt: skip
    return sorted(found, key=lambda pod: pod["metadata"]["name"])


def show(pods: list[Object]) -> None:
    """What `kubectl get pods -o wide` shows at the consumer, and where the pods say that they run."""
    rows = [
        (
            pod["metadata"]["name"], pod["spec"]["nodeName"], pod["status"]["podIP"],
            annotations_of(pod).get(ROOT_CID, "-"),
        )
        for pod in pods
    ]  # fmt: skip
    print_table(("POD", "NODE", "ADDRESS", "RUNS IN"), rows)


async def why(stage: Stage, pod: Object) -> tuple[str, list[tuple[str, ...]]]:
    """The stored decision about one pod."""
    metadata = pod["metadata"]
    namespace = remote_name(metadata["namespace"], scene.BUYER, "suffixed")
    there = await stage[scene.BROKER].get(kinds.POD, metadata["name"], namespace)
    told = decision_of(there)
    return " ".join(headline(f"{namespace}/{metadata['name']}", told)), rows_of(told)


async def sizes(stage: Stage) -> list[tuple[str, str, str]]:
    """The consumer's virtual nodes, and what they offer."""
    nodes = (await stage[scene.BUYER].list(kinds.NODE)).items
    virtual = [node for node in nodes if "continuo.dev/virtual-node" in (node["metadata"].get("labels") or {})]
    found = [(node["metadata"]["name"], (node.get("status") or {}).get("allocatable") or {}) for node in virtual]
    return sorted((name, has.get("cpu", "0"), has.get("memory", "0")) for name, has in found)
