"""A Solver for a K8Slice ends in a node of exactly that size, behind which pods run; nothing is left of it afterwards."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from continuo.edge.rear import slices
from continuo.edge.slices import terms
from continuo.edge.slices.access import Fresh, read, refreshing
from continuo.kube.access import Access
from continuo.resources import kinds
from continuo.resources.errors import BadRequest, Forbidden, Unauthorized, Unreachable
from continuo.resources.kinds import ALLOCATION, FLAVOR, FLUIDOS_CONTRACT, SECRET, SOLVER
from edge.rear.rear_world import SPACE, settled
from edge.slices.slice_world import Shop, deployment, lives, pod_of, shop
from seeding import seeds


def run(body: Callable[[Shop], Awaitable[None]]) -> None:
    async def main() -> None:
        async with shop() as made:
            await body(made)

    asyncio.run(main())


def offered(made: Shop) -> list[tuple[str, bool]]:
    return sorted(
        (slices.amounts_of(each)["cpu"], each["spec"]["availability"]) for each in made.made.objects("provider", FLAVOR)
    )


async def active(made: Shop) -> str:
    await settled(lambda: made.allocation().get("status") == "Active")
    return made.node()


def test_from_a_wish_to_pods_and_back_to_nothing() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway)
            node = await active(made)
            found = made.find("consumer", kinds.NODE, node)
            assert found["status"]["allocatable"] == {"cpu": "2", "memory": "4Gi", "pods": "10"}
            assert found["metadata"]["labels"]["fluidos.eu/flavor"] == "provider.eu-k8slice-01ab"
            assert "2 cpu, 4Gi memory, 10 pods" in made.allocation()["message"]
            await settled(lambda: offered(made) == [("2", False), ("6", True)])
            await made.consumer.create(deployment(node, node, 2, cpu="1", memory="1Gi"))
            await settled(lambda: made.ready("consumer", node, "web") == 2)
            (space,) = made.names("provider", kinds.NAMESPACE, "slice-")
            assert made.ready("provider", space, "web") == 2
            bound = made.find("provider", kinds.RESOURCE_QUOTA, "slice", space)["spec"]["hard"]
            assert (bound["requests.cpu"], bound["requests.memory"], bound["pods"]) == ("2", "4Gi", "10")

            await made.consumer.create(kinds.POD.new("more", node, spec=pod_of(node, cpu="500m")))

            def said() -> str:
                return str((made.find("consumer", kinds.POD, "more", node).get("status") or {}).get("message"))

            await settled(lambda: "has no room for this pod (cpu: 500m asked, 2 of 2 in use)" in said())
            assert len(made.names("provider", kinds.POD, namespace=space)) == 2
            await made.consumer.delete(SOLVER, "room", SPACE)
            await settled(lambda: not made.remains())
            await settled(lambda: offered(made) == [("8", True)])  # whole again

    run(body)


def test_credentials_end_at_the_namespace_and_with_the_contract() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway)
            await active(made)
            (contract,) = made.made.objects("provider", FLUIDOS_CONTRACT)
            text = await gateway.seller.credentials(contract)
            for kind in (FLUIDOS_CONTRACT, SECRET, ALLOCATION, SOLVER):
                for side in ("provider", "consumer"):
                    assert "token" not in str(made.made.objects(side, kind)), "what was handed over is kept nowhere"
            access = read(text)
            buyer = made.made.entering(access)
            space = access.namespace
            assert (await buyer.list(kinds.POD, space)).items == []
            forbidden = (
                buyer.list(kinds.POD, SPACE), buyer.list(kinds.SECRET), buyer.list(kinds.NODE), buyer.list(FLAVOR, SPACE),
                buyer.list(kinds.NAMESPACE), buyer.get(kinds.NAMESPACE, SPACE),
                buyer.patch(kinds.RESOURCE_QUOTA, "slice", {"spec": {"hard": {"pods": "999"}}}, space),
                buyer.patch(kinds.ROLE, terms.BUYER, {"rules": []}, space),
                buyer.delete(kinds.NAMESPACE, space),
            )  # fmt: skip
            for each in forbidden:
                with pytest.raises(Forbidden):
                    await each
            await made.consumer.delete(SOLVER, "room", SPACE)
            await settled(lambda: not made.remains())
            with pytest.raises(Unauthorized):
                await buyer.list(kinds.POD, space)
            assert await gateway.seller.credentials(contract) == "", "of a contract that is over there are none"

    run(body)


def test_a_namespace_of_the_buyers_own_stays() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.consumer.create(kinds.NAMESPACE.new("apps"))
            await made.wish(gateway, **{terms.SPACE: "apps"})
            node = await active(made)
            await made.consumer.create(kinds.CONFIG_MAP.new("settings", "apps", data={"a": "b"}))
            await made.consumer.create(kinds.POD.new("one", "apps", spec=pod_of(node)))
            await settled(lambda: made.ready("consumer", "apps") == 1)
            (space,) = made.names("provider", kinds.NAMESPACE, "slice-")
            await settled(lambda: "settings" in made.names("provider", kinds.CONFIG_MAP, namespace=space))
            await made.consumer.delete(SOLVER, "room", SPACE)
            await settled(lambda: not made.remains())
            assert made.find("consumer", kinds.CONFIG_MAP, "settings", "apps"), "only pods of the node went"
            assert not made.names("consumer", kinds.POD, namespace="apps")

    run(body)


@pytest.mark.parametrize("named", [SPACE, "kube-system", "No Name"])
def test_namespaces_that_are_nothing_for_a_seller(named: str) -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway, **{terms.SPACE: named})
            await settled(lambda: made.allocation().get("status") == "Error")
            assert terms.SPACE in made.allocation()["message"] and not made.node()

    run(body)


def test_what_the_seller_takes_back_is_gone_at_the_buyers() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway)
            node = await active(made)
            await made.consumer.create(kinds.POD.new("one", node, spec=pod_of(node)))
            await settled(lambda: made.ready("consumer", node) == 1)
            (contract,) = made.made.objects("provider", FLUIDOS_CONTRACT)
            await made.provider.delete(FLUIDOS_CONTRACT, contract["metadata"]["name"], SPACE)
            await settled(lambda: not made.node() and made.allocation().get("status") == "Released")
            await settled(lambda: node not in made.names("consumer", kinds.NAMESPACE))
            assert "the seller has it no more" in made.allocation()["message"]

    run(body)


def test_another_ones_namespace_is_left_alone() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway:
            async with made.buyer():
                await made.wish(gateway)
                await active(made)
                (space,) = made.names("provider", kinds.NAMESPACE, "slice-")
            mine = {"metadata": {"labels": {terms.SLICE: None}}}
            await made.provider.patch(kinds.NAMESPACE, space, mine)
            async with made.buyer():
                await made.consumer.delete(SOLVER, "room", SPACE)
                await settled(lambda: not made.made.objects("provider", FLUIDOS_CONTRACT))
            assert made.find("provider", kinds.NAMESPACE, space)

    run(body)


@pytest.mark.parametrize("seed", seeds(1))
def test_killed_anywhere(seed: int) -> None:
    """Seller and buyer die at random requests while it is bought, and while it ends."""

    async def body(made: Shop) -> None:
        rng = Random(seed)
        async with made.seller() as gateway:
            await made.wish(gateway)
        await lives(made, rng)
        async with made.seller(), made.buyer():
            node = await active(made)
            await made.consumer.create(kinds.POD.new("one", node, spec=pod_of(node)))
            await settled(lambda: made.ready("consumer", node) == 1)
            assert len(made.names("provider", kinds.NAMESPACE, "slice-")) == 1
        await made.consumer.delete(SOLVER, "room", SPACE)
        await lives(made, rng)
        async with made.seller(), made.buyer():
            await settled(lambda: not made.remains())
            await settled(lambda: offered(made) == [("8", True)])

    run(body)


# --- what a seller hands over -----------------------------------------------------------------------------------------
def handed(server: str = "https://s.example:6443", cluster: str = "", user: str = "{token: t}") -> str:
    text = f"""
apiVersion: v1
kind: Config
current-context: c
clusters: [{{name: c, cluster: {{server: "{server}"{cluster}}}}}]
users: [{{name: u, user: {user}}}]
contexts: [{{name: c, context: {{cluster: c, user: u, namespace: slice-a}}}}]
"""
    return base64.b64encode(text.encode()).decode()


def test_a_kubeconfig_that_only_asks_an_api_server_is_taken() -> None:
    access = read(handed())
    assert (access.server, access.namespace) == ("https://s.example:6443", "slice-a")


@pytest.mark.parametrize(("text", "said"), [
    ("%%%", "not base64"),
    (handed("http://s.example"), "must be https"),
    (handed(cluster=", insecure-skip-tls-verify: true"), "does not prove who it is"),
    (handed(cluster=', proxy-url: "http://p.example"'), "names a proxy"),
    (handed(cluster=", certificate-authority: /etc/passwd"), "certificate-authority"),
    (handed(user="{tokenFile: /var/run/secrets/token}"), "tokenFile"),
    (handed(user="{exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}}"), "runs the program sh"),
])  # fmt: skip
def test_a_kubeconfig_that_would_do_more_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        read(text)


def test_credentials_that_are_not_taken_any_more_are_asked_for_once() -> None:
    async def main() -> None:
        asked, moved = list[str](), list[str]()

        async def ask() -> Access:
            asked.append("now")
            await asyncio.sleep(0)
            if len(asked) == 2:
                raise Unreachable("the seller is away")
            server = "https://s.example:6443" if len(asked) == 1 else "https://moved.example"
            return read(handed(server, user=f"{{token: t{len(asked)}}}"))

        access = await refreshing(read(handed()), ask, lambda: moved.append("moved"))
        fresh = access.credentials
        first = await fresh.current()
        assert (first.authorization, asked) == ("Bearer t", [])
        assert fresh.invalidate() and not fresh.invalidate(), "who is refused twice in a row is refused"
        second, same = await asyncio.gather(fresh.current(), fresh.current())
        assert second is same and second.authorization == "Bearer t1" and len(asked) == 1
        assert isinstance(fresh, Fresh)
        fresh.expire()
        assert (await fresh.current()) is second and len(asked) == 2, "as long as no other is to be had"
        fresh.expire()
        assert (await fresh.current()).authorization == "Bearer t3" and moved == ["moved"]

    asyncio.run(main())
