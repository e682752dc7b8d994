"""Probes on clusters of the embedded engine: placed, found, measured, told, and taken away without a trace."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from continuo.broker.catalog.schema import SCHEMA
from continuo.broker.measurements.addresses import Addresses, BadAddress, connector
from continuo.broker.measurements.measuring import ENDPOINT, Measuring
from continuo.broker.measurements.placement import NAME, Placement, address_of, find_endpoint, manifests, place, remove
from continuo.broker.measurements.publishing import Publisher
from continuo.broker.measurements.runner import Runner, Schedule
from continuo.broker.measurements.store import Measurements
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.probing.agent import Agent, start
from continuo.probing.client import Endpoint, ProbeFailed, Prober, session
from continuo.resources import kinds
from continuo.resources.broker import PROVIDER, broker_crds
from continuo.resources.errors import Conflict, NotFound
from continuo.storage.database import Database

pytestmark = pytest.mark.anyio
PLACEMENT = Placement("broker", "continuo:test", "ClusterIP")
PUBLIC = bytes(range(32))


@dataclass
class Bed:
    engine: EmbeddedEngine
    server: Server
    clusters: list[KubeCluster]

    def kubeconfig(self, name: str) -> str:
        self.engine.create_cluster(name)
        return self.server.kubeconfig(self.server.url(name), name)

    def cluster(self, name: str) -> KubeCluster:
        made = connect(self.kubeconfig(name), name=name)
        self.clusters.append(made)
        return made


@pytest.fixture
async def bed(anyio_backend: str) -> AsyncIterator[Bed]:
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine)
    await server.start()
    made = Bed(engine, server, [])
    try:
        yield made
    finally:
        for cluster in made.clusters:
            await cluster.close()
        await server.stop()
        await engine.stop()


async def until(true: Callable[[], Awaitable[object]]) -> None:
    """Wait for what another API server's clients see sooner or later."""
    async with asyncio.timeout(10):
        while not await true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def gone(cluster: KubeCluster) -> bool:
    try:
        await cluster.get(kinds.NAMESPACE, PLACEMENT.namespace)
    except NotFound:
        return True
    return False


async def test_a_probe_is_placed_repaired_and_taken_away(bed: Bed) -> None:
    green = bed.cluster("green")
    await place(green, PLACEMENT, "green", PUBLIC)
    made = await green.get(kinds.DEPLOYMENT, NAME, PLACEMENT.namespace)
    await place(green, PLACEMENT, "green", PUBLIC)
    again = await green.get(kinds.DEPLOYMENT, NAME, PLACEMENT.namespace)
    assert made["spec"] == again["spec"] and made["metadata"]["generation"] == again["metadata"]["generation"]
    await green.delete(kinds.SERVICE, NAME, PLACEMENT.namespace)
    await place(green, PLACEMENT, "green", PUBLIC)
    url = await find_endpoint(green, PLACEMENT)
    assert url is not None and url.endswith(":8099")
    assert await remove(green, PLACEMENT)
    await until(lambda: gone(green))
    assert not await remove(green, PLACEMENT)


async def test_somebody_elses_namespace_is_left_alone(bed: Bed) -> None:
    green = bed.cluster("green")
    await green.create(kinds.NAMESPACE.new(PLACEMENT.namespace))
    for attempt in (place(green, PLACEMENT, "green", PUBLIC), remove(green, PLACEMENT)):
        with pytest.raises(Conflict, match="was not made for probes of broker"):
            await attempt
    assert (await green.list(kinds.DEPLOYMENT, PLACEMENT.namespace)).items == []


def test_a_probe_may_do_nothing() -> None:
    space, policy, deployment, service = manifests(PLACEMENT, "green", PUBLIC)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["automountServiceAccountToken"] is False and "serviceAccountName" not in pod
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"] == {
        "type": "RuntimeDefault"
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert container["resources"]["limits"] == {"cpu": "500m", "memory": "128Mi"}
    assert policy["spec"]["egress"] == [] and set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert {obj["metadata"].get("namespace") for obj in (policy, deployment, service)} == {"continuo-probe-broker"}
    strange = Placement("The Broker, Inc.", "i")
    assert strange.namespace.startswith("continuo-probe-") and len(strange.namespace) == 27


def test_where_a_service_is_reached() -> None:
    ports = [{"port": 8099, "nodePort": 30001}]
    balanced = {"spec": {"type": "LoadBalancer", "ports": ports}}
    assert address_of(balanced) is None
    assert (
        address_of({**balanced, "status": {"loadBalancer": {"ingress": [{"ip": "2001:db8::1"}]}}})
        == "http://[2001:db8::1]:8099"
    )
    assert (
        address_of({**balanced, "status": {"loadBalancer": {"ingress": [{"hostname": "p.example"}]}}})
        == "http://p.example:8099"
    )
    ready = [{"type": "Ready", "status": "True"}]
    nodes = [
        kinds.NODE.new("b", status={"conditions": ready, "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}),
        kinds.NODE.new("a", status={"addresses": [{"type": "ExternalIP", "address": "192.0.2.9"}]}),
        kinds.NODE.new(
            "c", status={"conditions": ready, "addresses": [{"type": "ExternalIP", "address": "192.0.2.3"}]}
        ),
    ]
    assert address_of({"spec": {"type": "NodePort", "ports": ports}}, nodes) == "http://192.0.2.3:30001"
    assert address_of({"spec": {"type": "NodePort", "ports": ports}}) is None
    assert address_of({"spec": {"clusterIP": "10.96.0.7", "ports": ports}}) == "http://10.96.0.7:8099"
    assert address_of({"spec": {"clusterIP": "None", "ports": ports}}) is None


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254:80", "http://127.0.0.1:8090", "http://[::1]:1", "http://0.0.0.0:1", "ftp://192.0.2.1:1",
     "http://user:word@192.0.2.1:1", "http://192.0.2.1:1/path", "http://192.0.2.1:99999", "http://", "192.0.2.1:80",
     "http://[::ffff:127.0.0.1]:1", "http://224.0.0.1:1", "http://192.0.2.1:1/?a"],
)  # fmt: skip
def test_what_is_never_asked(url: str) -> None:
    with pytest.raises(BadAddress):
        Addresses().check_url(url)


async def test_a_name_that_leads_to_the_broker_itself_is_not_asked() -> None:
    key = Ed25519PrivateKey.generate()
    async with session(connector(Addresses())) as http:
        prober = Prober(http, lambda: key, time.time, time.perf_counter)
        with pytest.raises(ProbeFailed, match="is not asked"):
            await prober.latency(Endpoint("http://localhost:9", "green"), 1)


async def prepared(bed: Bed) -> tuple[KubeCluster, KubeCluster]:
    """The broker's cluster, and a provider's whose kubeconfig is there."""
    home, green = bed.cluster("broker"), bed.cluster("green")
    for crd in broker_crds():
        await home.apply(crd, manager="test")
    await home.create(kinds.NAMESPACE.new("continuo-system"))
    secret = {"value": base64.b64encode(bed.kubeconfig("green").encode()).decode()}
    await home.create(kinds.SECRET.new("green", "continuo-system", data=secret))
    return home, green


@asynccontextmanager
async def broker(home: KubeCluster, tmp_path: Any) -> AsyncIterator[tuple[Measurements, Measuring]]:
    database = Database(str(tmp_path / "c.sqlite"), SCHEMA)
    await database.open()
    kept = Measurements(database, "broker", time.time)
    await kept.load()

    async def tell(provider: str, values: Any) -> None:
        return None

    schedule = Schedule(check=0.05, bandwidth=0.05, resources=0.05, samples=3, bytes=100_000)
    async with session() as http:
        prober = Prober(http, lambda: kept.private, time.time, time.perf_counter)

        def runner(measured: Callable[[str], None]) -> Runner:
            return Runner(prober, Publisher(kept, tell), schedule, random.Random(1), measured=measured)

        allowed = Addresses([ipaddress.ip_network("127.0.0.0/8")])
        measuring = Measuring(home, connect, kept, runner, PLACEMENT, allowed)
        work = asyncio.create_task(measuring.run())
        try:
            yield kept, measuring
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await database.close()


async def test_providers_are_measured_from_their_objects(bed: Bed, tmp_path: Any) -> None:
    home, _ = await prepared(bed)
    async with broker(home, tmp_path) as (kept, measuring):
        public = kept.private.public_key().public_bytes_raw()
        runner, port = await start(Agent("green", public), "127.0.0.1", 0)
        try:
            annotated = {"annotations": {ENDPOINT: f"http://127.0.0.1:{port}"}}
            spec = {"region": "eu-south", "claims": {"latency": 1}, "kubeconfig": {"name": "green"}}
            await home.create(PROVIDER.new("green", metadata=annotated, spec=spec))

            async def measured() -> bool:
                return {"latency", "bandwidth_up", "cpu_free"} <= kept.newest("green").keys()

            async def told() -> object:
                return (await home.get(PROVIDER, "green")).get("status", {}).get("measured")

            await until(measured)
            await until(told)
            found = (await home.get(PROVIDER, "green"))["status"]["measured"]
            assert all(entry["by"] == "broker" and entry["at"].endswith("Z") for entry in found)
            assert "pods_free" in {entry["name"] for entry in measuring.status("green")}
        finally:
            await runner.cleanup()


async def test_a_provider_without_an_address_gets_a_probe_and_loses_it_with_its_object(bed: Bed, tmp_path: Any) -> None:
    home, green = await prepared(bed)
    async with broker(home, tmp_path) as (kept, _):
        await home.create(PROVIDER.new("green", spec={"kubeconfig": {"name": "green"}}))

        assert not kept.checks("green").any, "nothing is held against a provider before its probe ran"

        async def placed() -> object:
            return (await green.list(kinds.DEPLOYMENT, PLACEMENT.namespace)).items

        await until(placed)
        made = await green.get(kinds.DEPLOYMENT, NAME, PLACEMENT.namespace)
        env = made["spec"]["template"]["spec"]["containers"][0]["env"]
        assert base64.b64decode(env[0]["value"]) == kept.private.public_key().public_bytes_raw()
        await home.delete(PROVIDER, "green")
        await until(lambda: gone(green))
