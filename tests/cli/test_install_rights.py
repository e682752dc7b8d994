"""The printed rights, for real: the operator and the server run on them, against an API that enforces them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from continuo.broker.catalog.contracts import Contract
from continuo.broker.contracts import handover
from continuo.broker.contracts.peering import ClusterPeering
from continuo.cli.host import Host, local_operator
from continuo.cli.manifests import CATALOG, OPERATOR, SERVER, Setup, install_objects
from continuo.embedded.standins.settings import Settings as StandInSettings
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources.broker import CONSUMER, CONTRACT, PROVIDER, ContractSpec, Mode, broker_crds, decode_spec
from continuo.resources.errors import Forbidden, NotFound
from continuo.resources.kinds import CLUSTER, CLUSTER_ROLE_BINDING, EVENT, LEASE, NAMESPACE, POD, SECRET
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.following import until
from continuo.runtime.leases import LeaderElection
from continuo.server.app_secrets import AppSecrets
from continuo.server.orchestrations import Orchestrations
from continuo.server.scheduler.bodies import Asked, AskedAction
from continuo.server.scheduler.parts import make_scheduler
from continuo.server.subjects import Gate, Policy, Subject
from continuo.server.tokens import TokenReviews

pytestmark = pytest.mark.anyio
SPEC: Object = {
    "clusters": [
        {"name": name, "kubernetes-version": "v1.34.2", "worker-machine-count": 1, "packages": ["liqo"]}
        for name in ("rose", "green")
    ],
    "links": [["rose", "green"]],
    "apps": [
        {
            "name": "shop", "owner": "ann", "cluster": "rose",
            "components": [
                {"name": "front", "image": "registry.example/front:1", "cluster-selector": "rose"},
                {"name": "back", "image": "registry.example/back:1", "cluster-selector": "green"},
            ],
        }
    ],
}  # fmt: skip


@dataclass
class Installed:
    """A management cluster with what `continuo install` prints in it."""

    host: Host
    admin: KubeCluster

    def kubeconfig(self, account: str) -> str:
        user = f"system:serviceaccount:continuo-system:{account}"
        return self.host.engine.kubeconfig("management", user=user, groups=("system:serviceaccounts",))


@asynccontextmanager
async def installed() -> AsyncIterator[Installed]:
    host = Host(None, port=0, seed=1, standins=StandInSettings(speed=10.0))
    await host.start()
    admin = connect(host.engine.kubeconfig("management"), name="management")
    for obj in install_objects(Setup("continuo:test", server=True, catalog=True), crds=False):
        await admin.apply(obj, manager="installer")
    try:
        yield Installed(host, admin)
    finally:
        await admin.close()
        await host.stop()


async def until_phase(admin: KubeCluster, phase: str) -> None:
    """Follow the orchestration until it says so."""
    listing = await admin.list(LOW_LEVEL_ORCHESTRATION, "default")
    found = listing.items
    since = listing.resource_version
    async with asyncio.timeout(60):
        while not any((obj.get("status") or {}).get("phase") == phase for obj in found):
            async for change in admin.watch(LOW_LEVEL_ORCHESTRATION, "default", since=since):
                since = change.object["metadata"]["resourceVersion"]
                found = [change.object]
                if (change.object.get("status") or {}).get("phase") == phase:
                    break


async def until_gone(admin: KubeCluster) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await admin.get(LOW_LEVEL_ORCHESTRATION, "main", "default")
            except NotFound:
                return
            await asyncio.sleep(0.05)


async def denied(*calls: Awaitable[object]) -> None:
    for call in calls:
        with pytest.raises(Forbidden):
            await call


async def test_an_orchestration_comes_and_goes_with_the_operators_rights() -> None:
    async with installed() as bench:
        clouds = base64.b64encode(b"clouds: {openstack: {auth: {auth_url: 'https://cloud.example'}}}").decode()
        await bench.admin.create(SECRET.new("openstack-cloud-config", "default", data={"clouds.yaml": clouds}))
        operator = local_operator(bench.kubeconfig(OPERATOR))
        work = asyncio.create_task(operator.run())
        await bench.admin.create(LOW_LEVEL_ORCHESTRATION.new("main", "default", spec=SPEC))
        await until_phase(bench.admin, "Ready")
        assert len((await bench.admin.list(CLUSTER, "default")).items) == 2
        async with asyncio.timeout(10):
            while not (await bench.admin.list(EVENT, "default")).items:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await bench.admin.delete(LOW_LEVEL_ORCHESTRATION, "main", "default")
        await until_gone(bench.admin)
        assert (await bench.admin.list(CLUSTER, "default")).items == []
        assert not work.done()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await operator.management.close()


async def test_the_operator_may_do_nothing_else() -> None:
    async with installed() as bench:
        operator = connect(bench.kubeconfig(OPERATOR), name="management")
        election = LeaderElection(operator, OPERATOR, "continuo-system", "one")
        assert await election.run(_nothing), "it can hold its lease"
        await denied(
            operator.create(SECRET.new("x", "default")),
            operator.patch(SECRET, "x", {"data": {}}, "default"),
            operator.delete(SECRET, "x", "default"),
            operator.delete(LOW_LEVEL_ORCHESTRATION, "main", "default"),
            operator.create(LOW_LEVEL_ORCHESTRATION.new("other", "default", spec={})),
            operator.create(CLUSTER_ROLE_BINDING.new("x", roleRef={}, subjects=[])),
            operator.create(NAMESPACE.new("x")),
            operator.list(POD),
            operator.list(LEASE, "continuo-system"),
            operator.get(LEASE, "other", "continuo-system"),
            operator.create(LEASE.new("x", "default")),
        )
        await operator.close()


async def _nothing() -> None:
    return


async def test_the_server_works_on_its_rights_and_may_do_nothing_else() -> None:
    async with installed() as bench:
        await bench.admin.create(LOW_LEVEL_ORCHESTRATION.new("main", "default", spec={"clusters": SPEC["clusters"]}))
        server = connect(bench.kubeconfig(SERVER), name="management")
        store, secrets = Orchestrations(server, "default"), AppSecrets(server, "default")
        token = bench.host.server.tokens.issue("management", "ann", ("dev",))
        subject = await TokenReviews(server).identify(token)
        assert subject is not None and subject.name == "ann"
        store.informer.start()
        await asyncio.wait_for(store.informer.synced.wait(), 10)
        app = {**SPEC["apps"][0], "name": "shop"}
        for data in ({"A": "eA=="}, {"A": "eQ=="}):
            secret = SECRET.new("shop-env", metadata={"annotations": {"continuo.dev/owner": "ann"}}, data=data)
            await secrets.put([secret], "main", "shop", "ann")
        await store.declare("main", lambda _: app)
        await store.remove("main", "shop", "shop", lambda _: None)
        await secrets.drop("main", "shop")
        await store.forget("main", "shop")
        assert "apps" not in (await bench.admin.get(LOW_LEVEL_ORCHESTRATION, "main", "default"))["spec"]
        await _decides(server, store)
        await denied(
            server.list(SECRET, "continuo-system"),
            server.list(SECRET),
            server.delete(LOW_LEVEL_ORCHESTRATION, "main", "default"),
            server.delete(DECISION, "any", "default"),
            server.create(ADJUSTMENT.new("main", "default", spec={})),
            server.patch(LOW_LEVEL_ORCHESTRATION, "main", {"status": {}}, "default", subresource="status"),
            server.list(LOW_LEVEL_ORCHESTRATION, "continuo-system"),
            server.list(CLUSTER, "default"),
            server.create(LEASE.new("x", "continuo-system")),
        )
        await store.informer.stop()
        await server.close()


async def _decides(server: KubeCluster, store: Orchestrations) -> None:
    """A scheduler reads the state, and its decision is written."""
    scheduler = make_scheduler(server, store, Gate([TokenReviews(server)], Policy()))
    scheduler.infrastructure.start()
    for informer in (scheduler.infrastructure.adjustments, scheduler.infrastructure.decisions):
        await asyncio.wait_for(informer.synced.wait(), 10)
    scheduler.infrastructure.flush()
    action = AskedAction(op="linkClusters", cluster="rose", other="green")
    asked = Asked(decision_id="d", based_on=scheduler.infrastructure.log.current, reason="near", actions=[action])
    status, answer = await scheduler.decisions.decide(Subject("ai"), asked)
    assert status == 200, answer
    assert (await server.get(DECISION, answer["decision"], "default"))["spec"]["source"] == "external/ai"
    await scheduler.infrastructure.stop()


NOW = "2026-01-01T00:00:00Z"
BOUGHT = Contract(
    "c0ffee", "lab", "green", "disks", "basic", "1", "EUR", "hour", {"cpu": "1"}, requested=1_800_000_000_000
)


async def delivered(bench: Installed) -> None:
    """What the broker does with a contract whose consumer it cannot enter."""
    (contract,) = await until(bench.admin, CONTRACT, lambda found: len(found) == 1, timeout=20.0)
    assert await handover.give(bench.admin, BOUGHT.id, decode_spec(contract, ContractSpec), "lab")
    said = {"type": "Ready", "status": "True", "reason": "HandedOver", "message": "", "lastTransitionTime": NOW}
    status = {"mode": Mode.HANDED_OVER, "conditions": [said]}
    await bench.admin.patch(CONTRACT, BOUGHT.id, {"status": status}, subresource="status")


async def test_a_catalog_sells_with_its_rights_and_may_do_nothing_else() -> None:
    async with installed() as bench:
        for definition in broker_crds():
            await bench.admin.apply(definition, manager="installer")
        way_in = base64.b64encode(bench.host.engine.kubeconfig("management").encode()).decode()
        for namespace in ("continuo-system", "default"):
            await bench.admin.create(SECRET.new("green", namespace, data={"value": way_in}))
        await bench.admin.create(PROVIDER.new("green", spec={"kubeconfig": {"name": "green"}}))
        await bench.admin.create(CONSUMER.new("lab", spec={}))
        catalog = connect(bench.kubeconfig(CATALOG), name="broker")
        peering = ClusterPeering(catalog, within=20.0)
        link, _ = await asyncio.gather(peering.link(BOUGHT), delivered(bench))
        assert link.state == "handed-over"
        access = await peering.credentials(BOUGHT, rotate=True)
        assert access is not None and access.namespace == "contract-c0ffee"
        await peering.unlink(BOUGHT)
        assert (await bench.admin.list(CONTRACT)).items == []
        await denied(
            catalog.get(SECRET, "green", "default"),
            catalog.list(SECRET, "continuo-system"),
            catalog.delete(SECRET, "green", "continuo-system"),
            catalog.patch(CONTRACT, BOUGHT.id, {"status": {}}, subresource="status"),
            catalog.list(PROVIDER),
            catalog.patch(PROVIDER, "green", {"spec": {}}),
            catalog.create(CONSUMER.new("friend", spec={})),
            catalog.create(NAMESPACE.new("x")),
            catalog.list(POD),
            catalog.list(LOW_LEVEL_ORCHESTRATION, "default"),
        )
        await catalog.close()
