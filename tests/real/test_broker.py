"""A real Liqo consumer, a Continuo broker with the rights that `continuo install --broker` gives, and a real provider.

The consumer knows nothing of Continuo but the class of its ResourceSlice. All three clusters use the same addresses for pods.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import yaml

from continuo.broker.station.station import Station
from continuo.cli.manifests import BROKER, Setup, install_objects
from continuo.federation import names
from continuo.federation.addresses import remap
from continuo.federation.model import LinkSettings
from continuo.federation.reflection.places import ROOT_CID
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE, BROKER_POLICY, CONSUMER, PROVIDER
from continuo.resources.meta import Object, annotations_of, is_true, labels_of
from continuo.runtime.following import until
from continuo.testbed.commands import run
from continuo.testbed.errors import TestbedError
from continuo.testbed.waiting import until as tried
from scenarios.beds import PATIENCE

from .liqo_bed import LiqoBed

pytestmark = pytest.mark.anyio
SYSTEM, SPACE, THERE, NODE = "continuo-system", "shop", "shop-a", "big"


async def test_an_unmodified_liqo_consumer_is_brokered_on_and_reached_over_two_translations(three: LiqoBed) -> None:
    bed = three
    a, b, c = [await bed.workload(name, "") for name in ("a", "b", "c")]
    await bed.want("base")
    await bed.linked("base")
    await install(b)
    await declare(b, bed.real.kubeconfig("c"))
    async with station(b, bed.real.kubeconfig("b")):
        await until(b, PROVIDER, lambda found: all(is_true(obj, "Ready") for obj in found), timeout=PATIENCE)
        await consume(a)
        await until(a, kinds.POD, lambda found: len(ready(found)) == 2, SPACE, timeout=PATIENCE)
        there = await until(c, kinds.POD, lambda found: len(ready(found)) == 2, THERE, timeout=PATIENCE)
        passed_on = (await b.list(kinds.POD, THERE)).items
        assert {pod["spec"]["nodeName"] for pod in passed_on} == {"c"}, "nobody else placed one of them"
        assert {annotations_of(pod)[ROOT_CID] for pod in passed_on} == {"c"}
        lent = await until(b, kinds.IP, lambda found: len(addresses(found)) == 2, THERE, timeout=PATIENCE)
        for pod in there:
            answer = await curl(bed, await seen_by(a, addresses(lent)[pod["metadata"]["name"]]))
            assert answer["hostname"] == pod["metadata"]["name"]
        await a.delete(kinds.DEPLOYMENT, "httpbin", SPACE)
        await until(c, kinds.POD, lambda found: not found, THERE, timeout=PATIENCE)
        await until(b, kinds.IP, lambda found: not found, THERE, timeout=PATIENCE)
        await until(b, kinds.CONFIGURATION, lambda found: peers(found) == {"a"}, timeout=PATIENCE)
        await until(c, kinds.CONFIGURATION, lambda found: not found, timeout=PATIENCE)


async def install(b: KubeCluster) -> None:
    """What `continuo install --broker` prints, but for the Deployments: the broker runs in this process."""
    for obj in install_objects(Setup("continuo", broker=True)):
        if obj["kind"] != "Deployment":
            await b.apply(obj, manager="test")


async def declare(b: KubeCluster, provider: str) -> None:
    data = {"value": base64.b64encode(provider.encode()).decode()}
    await b.apply(kinds.SECRET.new("c", SYSTEM, data=data), manager="test")
    rule = {"name": "region", "expression": "provider.region.startsWith('eu-')"}
    for obj in (
        PROVIDER.new("c", spec={"region": "eu-south", "kubeconfig": {"name": "c"}}), CONSUMER.new("a", spec={}),
        AGGREGATE.new("pool", spec={"consumer": "a"}), BROKER_POLICY.new("europe", spec={"compliance": [rule]}),
    ):  # fmt: skip
        await b.apply(obj, manager="test")


@asynccontextmanager
async def station(b: KubeCluster, kubeconfig: str) -> AsyncIterator[Station]:
    """The broker, as its own ServiceAccount."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = (await b.post(kinds.SERVICE_ACCOUNT, BROKER, "token", request, SYSTEM))["status"]["token"]
    config = yaml.safe_load(kubeconfig)
    config["users"][0]["user"] = {"token": token}
    client = connect(config, name="b")
    made = Station(client, lambda kubeconfig, *, name: connect(kubeconfig, name=name), name="b",
                   links=LinkSettings(service_type="NodePort"))  # fmt: skip
    work = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        work.cancel()
        (ended,) = await asyncio.gather(work, return_exceptions=True)
        await client.close()
        assert isinstance(ended, asyncio.CancelledError), ended


async def consume(a: KubeCluster) -> None:
    """What `liqoctl create resourceslice big --class continuo` and `liqoctl offload namespace` write; then a Deployment."""
    marks = {names.REMOTE_CLUSTER_ID: "b", names.REMOTE_ID: "b", names.REPLICATION: "true"}
    metadata = {"labels": marks, "annotations": {names.CREATE_VIRTUAL_NODE: "true"}}
    resources = {"cpu": "1", "memory": "1Gi", "pods": "20"}
    spec = {"class": "continuo", "providerClusterID": "b", "resources": resources}
    await a.apply(kinds.RESOURCE_SLICE.new(NODE, "liqo-tenant-b", metadata=metadata, spec=spec), manager="test")
    await until(
        a, kinds.NODE, lambda found: any(is_true(o, "Ready") for o in found if name(o) == NODE), timeout=PATIENCE
    )
    await a.apply(kinds.NAMESPACE.new(SPACE), manager="test")
    chosen = {"namespaceMappingStrategy": "DefaultName", "podOffloadingStrategy": "Remote",
              "clusterSelector": {"nodeSelectorTerms": []}}  # fmt: skip
    await a.apply(kinds.NAMESPACE_OFFLOADING.new("offloading", SPACE, spec=chosen), manager="test")
    await until(a, kinds.NAMESPACE_OFFLOADING, offloaded, SPACE, timeout=PATIENCE)  # pods before that get no toleration
    await a.apply(deployment(), manager="test")
    sleep = {"containers": [{"name": "sleep", "image": "localhost/sleep:1"}]}
    await a.apply(kinds.POD.new("sleep", "default", spec=sleep), manager="test")


def deployment() -> Object:
    labels = {"app": "httpbin"}
    container = {"name": "httpbin", "image": "localhost/httpbin:1", "ports": [{"containerPort": 80}],
                 "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}}}  # fmt: skip
    pod = {"nodeSelector": {"kubernetes.io/hostname": NODE}, "containers": [container]}
    spec = {
        "replicas": 2, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }  # fmt: skip
    return kinds.DEPLOYMENT.new("httpbin", SPACE, spec=spec)


async def seen_by(a: KubeCluster, lent: str) -> str:
    """How the consumer writes an address that the broker lends."""
    (configuration,) = (await a.list(kinds.CONFIGURATION)).items
    return remap(lent, configuration["status"]["remote"]["cidr"]["external"][0])


async def curl(bed: LiqoBed, ip: str) -> Object:
    said: list[str] = []

    async def answered() -> str | None:
        try:
            said.append(
                await run(*bed.kubectl("a", "exec", "sleep", "--", "curl", "-s", "-m", "5", f"http://{ip}/get"))
            )
        except TestbedError as error:
            return str(error)
        return None

    await tried(answered, f"the way to {ip}", PATIENCE)
    answer: Object = json.loads(said[-1])
    return answer


def offloaded(found: list[Object]) -> bool:
    return [(obj.get("status") or {}).get("offloadingPhase") for obj in found] == ["Ready"]


def ready(found: list[Object]) -> list[Object]:
    return [pod for pod in found if is_true(pod, "Ready")]


def addresses(found: list[Object]) -> dict[str, str]:
    return {name(obj): obj["status"]["ip"] for obj in found if (obj.get("status") or {}).get("ip")}


def peers(found: list[Object]) -> set[str]:
    return {labels_of(obj)[names.REMOTE_CLUSTER_ID] for obj in found}


def name(obj: Object) -> str:
    return str(obj["metadata"]["name"])
