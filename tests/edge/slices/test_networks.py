"""A slice comes with a network: its pods are reached from home at the address that home writes, and by nobody afterwards."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from random import Random

import msgspec
import pytest

from continuo.broker.paths import Paths
from continuo.edge.slices import letters
from continuo.edge.slices.networks import Networks
from continuo.federation.addresses import remap
from continuo.federation.halves import Facts
from continuo.federation.model import LinkSettings
from continuo.resources import kinds
from continuo.resources.errors import BadRequest
from continuo.resources.kinds import ALLOCATION, FLUIDOS_CONTRACT, SOLVER
from continuo.resources.meta import Object, labels_of
from edge.rear.rear_world import SPACE, k8slice, settled
from edge.slices.slice_world import Shop, deployment, lives, shop, solver, with_liqo
from seeding import seeds

BOTH = ("provider", "consumer")
HALF = (kinds.CONFIGURATION, kinds.GATEWAY_SERVER, kinds.GATEWAY_CLIENT, kinds.PUBLIC_KEY)


def run(body: Callable[[Shop], Awaitable[None]], *liqo: str) -> None:
    async def main() -> None:
        async with shop(*liqo) as made:
            await body(made)

    asyncio.run(main())


def tunnel(made: Shop, side: str) -> str:
    found = made.made.engine.cluster(side).list(kinds.CONNECTION, "")
    return str((found[0].get("status") or {}).get("value")) if found else ""


def says(made: Shop, *parts: str, side: str = "consumer") -> bool:
    said = made.allocation(side)
    return said.get("status") == "Active" and all(part in said["message"] for part in parts)


def up(made: Shop) -> bool:
    return all(tunnel(made, side) == "Connected" for side in BOTH)


def halves(made: Shop) -> list[str]:
    """What is there of a network, on either side."""
    return [
        f"{side}: {kind.kind} {obj['metadata']['name']}" for side in made.liqo for kind in HALF
        for obj in made.made.engine.cluster(side).list(kind, "")
    ]  # fmt: skip


def service() -> Object:
    return kinds.SERVICE.new("web", "", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]})


def endpoints(made: Shop, side: str, namespace: str) -> list[str]:
    found = made.made.engine.cluster(side).list(kinds.ENDPOINT_SLICE, namespace)
    return [
        address for each in found if labels_of(each).get("kubernetes.io/service-name") == "web"
        for endpoint in each.get("endpoints") or () for address in endpoint["addresses"]
    ]  # fmt: skip


def test_a_pod_is_reached_from_home_as_long_as_the_contract_is() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway)
            await settled(lambda: says(made, "2 cpu", "a network leads to provider"))
            node = made.node()
            await made.consumer.create(deployment(node, node, 1, cpu="1"))
            await made.consumer.create({**service(), "metadata": {"name": "web", "namespace": node}})
            await settled(lambda: made.ready("consumer", node, "web") == 1 and endpoints(made, "consumer", node) != [])
            (space,) = made.names("provider", kinds.NAMESPACE, "slice-")
            (pod,) = made.made.engine.cluster("provider").list(kinds.POD, space)
            (shown,) = endpoints(made, "consumer", node)
            (half,) = made.made.engine.cluster("consumer").list(kinds.CONFIGURATION, "")
            (network,) = half["status"]["remote"]["cidr"]["pod"]
            assert pod["status"]["podIP"].startswith("10.0.") and not shown.startswith("10.0."), "both use 10.0.0.0/16"
            assert shown == remap(pod["status"]["podIP"], network)
            assert [tunnel(made, side) for side in BOTH] == ["Connected", "Connected"]
            await made.consumer.delete(SOLVER, "room", SPACE)
            await settled(lambda: not made.remains())

    run(body, *BOTH)


def test_slices_of_the_same_partners_share_one_network() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway, "one")
            await settled(lambda: says(made, "a network leads to provider"))
            await made.provider.create(k8slice("provider.eu-k8slice-02cd", cpu="32"))
            await made.consumer.create(solver("two", "20"))

            def told() -> int:
                found = made.made.objects("consumer", ALLOCATION)
                return sum(
                    "a network leads to provider" in (each.get("status") or {}).get("message", "") for each in found
                )

            await settled(lambda: told() == 2)
            (tunnel_,) = made.made.engine.cluster("provider").list(kinds.GATEWAY_SERVER, "")
            await made.consumer.delete(SOLVER, "one", SPACE)
            await settled(lambda: len(made.made.objects("consumer", FLUIDOS_CONTRACT)) == 1)
            await settled(lambda: len(made.made.objects("provider", FLUIDOS_CONTRACT)) == 1)
            (still,) = made.made.engine.cluster("provider").list(kinds.GATEWAY_SERVER, "")
            assert up(made) and still["metadata"]["uid"] == tunnel_["metadata"]["uid"], "the other one uses it"
            await made.consumer.delete(SOLVER, "two", SPACE)
            await settled(lambda: not made.remains() and not halves(made))

    run(body, *BOTH)


@pytest.mark.parametrize("liqo", [
    pytest.param("provider", marks=pytest.mark.long), pytest.param("consumer", marks=pytest.mark.long), "",
])  # fmt: skip
def test_without_liqo_at_one_end_the_slice_runs_and_says_why_there_is_no_network(liqo: str) -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway)
            missing = {"provider": "c1node", "consumer": "p1node", "": "c1node"}[liqo]
            await settled(lambda: says(made, "2 cpu", "no network: ", f"Liqo is not installed in {missing}"))
            seller = {"provider": "no network: the partner says: Liqo is not installed in c1node"}.get(
                liqo, "no network: Liqo is not installed in p1node"
            )
            await settled(lambda: says(made, seller, side="provider"))
            (contract,) = made.made.objects("consumer", FLUIDOS_CONTRACT)
            assert "no network: " in contract["status"]["phase"]["message"] and not halves(made)
            await made.consumer.delete(SOLVER, "room", SPACE)
            await settled(lambda: not made.remains())

    run(body, *filter(None, [liqo]))


def test_liqo_that_comes_later_is_used() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway)
            await settled(lambda: says(made, "Liqo is not installed in c1node"))
            with_liqo(made.made, "consumer")
            await settled(lambda: says(made, "a network leads to provider"))

    run(body, "provider")


def test_a_network_that_was_there_is_used_and_stays() -> None:
    async def body(made: Shop) -> None:
        clusters = {"provider": made.provider, "consumer": made.consumer}
        operators = Paths(made.consumer, "operators", settings=LinkSettings(service_type="NodePort"))
        for name, cluster in clusters.items():
            operators.add(name, cluster)
        operators.hold("somebody", ("consumer", "provider"))
        task = asyncio.create_task(operators.run())
        await settled(lambda: up(made))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        before = halves(made)
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway)
            await settled(lambda: says(made, "a network leads to provider"))
            await made.consumer.delete(SOLVER, "room", SPACE)
            await settled(lambda: not made.made.objects("consumer", FLUIDOS_CONTRACT))
            await settled(lambda: not made.made.objects("provider", FLUIDOS_CONTRACT))
        assert halves(made) == before and up(made)

    run(body, *BOTH)


def test_a_partner_that_is_away_holds_nobody_up() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway)
            await settled(lambda: says(made, "a network leads to provider"))
        async with made.buyer():  # the seller has gone, with its gateway; its half stays until it is back
            await made.consumer.delete(SOLVER, "room", SPACE)
            await settled(lambda: not [each for each in halves(made) if each.startswith("consumer")])
        async with made.seller(), made.buyer():
            await settled(lambda: not made.remains() and not halves(made))

    run(body, *BOTH)


def test_a_half_without_any_contract_goes_at_the_start() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway)
            await settled(lambda: says(made, "a network leads to provider"))
        for side, cluster in (("provider", made.provider), ("consumer", made.consumer)):
            for contract in made.made.objects(side, FLUIDOS_CONTRACT):  # somebody tears it out
                name = contract["metadata"]["name"]
                await cluster.patch(FLUIDOS_CONTRACT, name, {"metadata": {"finalizers": None}}, SPACE)
                await cluster.delete(FLUIDOS_CONTRACT, name, SPACE)
        async with made.seller():
            await settled(lambda: not [each for each in halves(made) if each.startswith("provider")])
            assert [each for each in halves(made) if each.startswith("consumer")]

    run(body, *BOTH)


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.long
def test_killed_anywhere(seed: int) -> None:
    """Seller and buyer die at random requests while the network is made, and while it goes."""

    async def body(made: Shop) -> None:
        rng = Random(seed)
        async with made.seller() as gateway:
            await made.wish(gateway)
        await lives(made, rng)
        async with made.seller(), made.buyer():
            await settled(lambda: says(made, "a network leads to provider") and up(made))
        await made.consumer.delete(SOLVER, "room", SPACE)
        await lives(made, rng)
        async with made.seller(), made.buyer():
            await settled(lambda: not made.remains() and not halves(made))

    run(body, *BOTH)


# --- what a partner may say -------------------------------------------------------------------------------------------
def letter(**said: object) -> Object:
    facts = {"cluster": "c", "pods": ["10.0.0.0/16"], "external": "10.70.0.0/16", **said}
    return {"data": {"network": json.dumps(facts)}}


def test_what_a_partner_may_say() -> None:
    key = base64.b64encode(bytes(32)).decode()
    endpoint = {"addresses": ["192.0.2.1"], "port": 30000}
    facts = letters.read(letter(key=key, endpoint=endpoint, listens=True, sees="10.71.0.0/16"))
    assert (facts.cluster, facts.pods, facts.endpoint and facts.endpoint.port) == ("c", ("10.0.0.0/16",), 30000)
    assert "nothing of a network" in letters.read({"data": {"network": "{}"}}).trouble


@pytest.mark.parametrize(("said", "why"), [
    ({"pods": ["8.8.8.0/24"]}, "8.8.8.0/24 is not private"),
    ({"pods": ["0.0.0.0/0"]}, "0.0.0.0/0 is not private"),
    ({"external": "127.0.0.0/8"}, "127.0.0.0/8 is not private"),
    ({"sees": "169.254.0.0/16"}, "169.254.0.0/16 is not private"),
    ({"pods": []}, "0 networks of pods"),
    ({"pods": ["10.0.0.1/16"]}, "is no CIDR"),
    ({"pods": "10.0.0.0/16"}, "in a way that nobody understands"),
    ({"cluster": "../c"}, "no identifier of Liqo's"),
    ({"key": "YWJj"}, "not base64 of 32 bytes"),
    ({"key": "%%%"}, "not base64 of 32 bytes"),
    ({"endpoint": {"addresses": ["a b"], "port": 1}}, "where no gateway can be"),
    ({"endpoint": {"addresses": ["192.0.2.1"], "port": 70000}}, "where no gateway can be"),
    ({"trouble": "x", "cluster": "c" * 5000}, "4096 are enough"),
])  # fmt: skip
def test_what_a_partner_may_not_say(said: dict[str, object], why: str) -> None:
    with pytest.raises(BadRequest, match=re.escape(why)):
        letters.read(letter(**said))


def test_a_partner_cannot_take_over_the_network_of_another_or_draw_our_machines_traffic() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway)
            await settled(lambda: says(made, "a network leads to provider"))
            networks = Networks(made.provider, "p1node", trade=SPACE, settings=LinkSettings(service_type="NodePort"))
            try:
                (sold,) = made.made.objects("provider", FLUIDOS_CONTRACT)
                (space,) = made.names("provider", kinds.NAMESPACE, "slice-")
                true = letters.read(made.find("provider", kinds.CONFIG_MAP, letters.name_of("buyer"), space))
                await settled_join(networks, sold, true)
                meta = {**sold["metadata"], "name": "contract-later", "creationTimestamp": "2999-01-01T00:00:00Z"}
                later = {**sold, "metadata": meta}
                other = msgspec.structs.replace(true, key=base64.b64encode(bytes(32)).decode())
                said = await networks.join(later, other, serves=True)
                assert "says otherwise of the networks and keys of cluster consumer" in said
                machines = msgspec.structs.replace(true, cluster="m", pods=("192.168.0.0/16",))
                await made.provider.patch(
                    kinds.NODE, "provider-0", {"status": {"addresses": [{"type": "InternalIP", "address": "192.168.3.4"}]}},
                    subresource="status",
                )  # fmt: skip
                assert "192.168.3.4, which is a machine" in await networks.join(later, machines, serves=True)
                assert not made.find("provider", kinds.NAMESPACE, "liqo-tenant-m")
            finally:
                await networks.close()

    run(body, *BOTH)


async def settled_join(networks: Networks, contract: Object, facts: Facts) -> None:
    looked = asyncio.Event()
    networks.follow(lambda _contract: looked.set())
    while "a network leads to consumer" not in await networks.join(contract, facts, serves=True):
        await asyncio.wait_for(looked.wait(), 10.0)
        looked.clear()
