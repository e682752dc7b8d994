"""Purchases over the catalog's HTTP API that end in clusters: linked, or handed over with a kubeconfig of one namespace."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from broker.catalog.bench import Bench, Client, catalog, cheap_hashes, offer
from broker.contracts.world import SYSTEM, World, contracted, pod, world
from continuo.broker.contracts.peering import ClusterPeering
from continuo.embedded.port import Api
from continuo.resources import kinds
from continuo.resources.broker import CONTRACT
from continuo.resources.errors import Forbidden, Unauthorized
from continuo.resources.meta import Object, is_true

pytestmark = pytest.mark.anyio
BUY = {"offer": "a", "plan": "basic"}


@pytest.fixture(autouse=True)
def quick_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_hashes(monkeypatch)


@pytest.fixture
async def made(anyio_backend: str) -> AsyncIterator[World]:
    async with world() as clusters:
        yield clusters


@pytest.fixture
async def bench(made: World, tmp_path: Path) -> AsyncIterator[Bench]:
    """A catalog that links clusters, and the controller that does it."""
    peering = ClusterPeering(made.client("broker"))
    async with contracted(made), catalog(str(tmp_path / "catalog.sqlite"), peering=peering) as served:
        yield served


async def bought(bench: Bench, buyer: Client) -> dict[str, Any]:
    """An active contract."""
    answer = await buyer.ask("POST", "/api/v1/contracts", BUY)
    assert answer.status == 201, answer.body
    await bench.parts.contracts.settled(answer.json["id"], 10.0)
    told: dict[str, Any] = (await buyer.get(f"/api/v1/contracts/{answer.json['id']}")).json
    return told


async def test_a_purchase_links_the_clusters_until_it_ends(made: World, bench: Bench) -> None:
    await (await bench.provider()).publish("a", offer())
    lab = await bench.consumer()
    contract = await bought(bench, lab)
    node = f"green-{contract['id'][:8]}"
    assert (contract["state"], contract["link"]) == ("active", "linked")
    assert contract["reason"] == f"node {node} of lab stands for Provider green"
    assert made.apis["lab"].get(kinds.NODE, node)["status"]["allocatable"] == {
        "cpu": "1000m", "memory": "2G", "pods": "110",
    }  # fmt: skip
    made.space(node)
    made.apis["lab"].create(pod(node))
    await made.until(lambda: is_true(made.apis["lab"].get(kinds.POD, "web", "shop"), "Ready"))
    handed = (await lab.ask("POST", f"/api/v1/contracts/{contract['id']}/credentials")).json
    assert "kubeconfig" not in handed, "a linked buyer needs no way into the provider's cluster"

    await lab.ask("DELETE", f"/api/v1/contracts/{contract['id']}")
    ended = await bench.parts.contracts.settled(contract["id"], 10.0)
    assert ended.state == "ended" and made.names("broker", CONTRACT) == []
    assert made.names("lab", kinds.NODE) == ["lab-0"] and made.names("green", kinds.POD) == []
    assert not made.names("green", kinds.NAMESPACE, "shop")


async def test_a_handed_over_namespace_is_the_buyers_until_the_end_and_nobody_elses(made: World, bench: Bench) -> None:
    await (await bench.provider()).publish("a", offer())
    far = await bench.consumer("far")
    first, second = await bought(bench, far), await bought(bench, far)
    assert (first["state"], first["link"]) == ("active", "handed-over") and "namespace contract-" in first["reason"]
    handed = (await far.ask("POST", f"/api/v1/contracts/{first['id']}/credentials")).json
    mine, other = f"contract-{first['id']}", f"contract-{second['id']}"
    assert handed["namespace"] == mine and handed["expires"]
    context = yaml.safe_load(handed["kubeconfig"])["contexts"][0]["context"]
    assert context["namespace"] == mine, "kubectl begins where it may be"

    buyer = made.client("green", handed["kubeconfig"])
    await buyer.create(pod("", namespace=mine))
    await buyer.create(kinds.SECRET.new("s", mine, stringData={"k": "v"}))
    assert [obj["metadata"]["name"] for obj in (await buyer.list(kinds.POD, mine)).items] == ["web"]
    with pytest.raises(Forbidden):
        await buyer.list(kinds.POD, other)
    with pytest.raises(Forbidden):
        await buyer.list(kinds.SECRET, "kube-system")
    with pytest.raises(Forbidden):
        await buyer.list(kinds.NODE)
    with pytest.raises(Forbidden):
        await buyer.patch(kinds.RESOURCE_QUOTA, "plan", {"spec": {"hard": {"pods": "9999"}}}, mine)
    with pytest.raises(Forbidden):
        await buyer.patch(kinds.ROLE, "continuo-buyer", {"rules": []}, mine)

    await far.ask("DELETE", f"/api/v1/contracts/{first['id']}")
    assert (await bench.parts.contracts.settled(first["id"], 10.0)).state == "ended"
    with pytest.raises(Unauthorized):
        await buyer.list(kinds.POD, mine)
    assert made.names("green", kinds.NAMESPACE, "contract-") == [other]


async def test_credentials_rotate_and_the_old_ones_are_void_at_once(made: World, bench: Bench) -> None:
    await (await bench.provider()).publish("a", offer())
    far = await bench.consumer("far")
    contract = await bought(bench, far)
    path, space = f"/api/v1/contracts/{contract['id']}/credentials", f"contract-{contract['id']}"
    old = made.client("green", (await far.ask("POST", path)).json["kubeconfig"])
    assert (await far.ask("POST", path)).json["code"] == "already-handed-over"
    new = made.client("green", (await far.ask("POST", f"{path}?rotate=true")).json["kubeconfig"])
    assert (await new.list(kinds.POD, space)).items == []
    with pytest.raises(Unauthorized):
        await old.list(kinds.POD, space)


async def test_credentials_of_a_provider_who_is_away_are_asked_for_again(made: World, bench: Bench) -> None:
    await (await bench.provider()).publish("a", offer())
    far = await bench.consumer("far")
    contract = await bought(bench, far)
    path, broker = f"/api/v1/contracts/{contract['id']}/credentials", made.client("broker")
    secret = await broker.get(kinds.SECRET, "green-kubeconfig", SYSTEM)
    await broker.delete(kinds.SECRET, "green-kubeconfig", SYSTEM)
    refused = await far.ask("POST", path)
    assert refused.status == 503 and refused.json["code"] == "provider-unreachable"
    assert refused.json["detail"] == "the provider green does not hand out credentials now; ask again later"
    await broker.create(kinds.SECRET.new("green-kubeconfig", SYSTEM, data=secret["data"]))
    assert "kubeconfig" in (await far.ask("POST", path)).json, "what failed was not handed over"


async def test_no_secret_is_in_lists_statuses_logs_or_storage(
    made: World, bench: Bench, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    await (await bench.provider()).publish("a", offer())
    far = await bench.consumer("far")
    contract = await bought(bench, far)
    answer = await far.ask("POST", f"/api/v1/contracts/{contract['id']}/credentials")
    assert answer.headers["Cache-Control"] == "no-store"
    secret = yaml.safe_load(answer.json["kubeconfig"])["users"][0]["user"]["token"]
    places = [answer.body.decode(), *(record.getMessage() for record in caplog.records)]
    for path in ("/api/v1/contracts", f"/api/v1/contracts/{contract['id']}", "/api/v1/usage"):
        places += [(await caller.get(path)).body.decode() for caller in (far, bench.operator)]
    stolen = base64.b64decode(made.apis["broker"].get(kinds.SECRET, "green-kubeconfig", SYSTEM)["data"]["value"])
    brokers_own = yaml.safe_load(stolen)["users"][0]["user"]["token"]
    assert not [place for place in places if brokers_own in place]
    del places[0]  # the one answer that has the buyer's
    for api in (made.apis["broker"], made.apis["green"]):
        places += [msgspec.json.encode(everything(api)).decode()]
    await bench.parts.database.do(lambda _: None)
    places += stored(tmp_path)
    assert len(secret) > 100 and contract["id"] in "".join(places), "there is something to be found"
    assert not [place for place in places if secret in place or secret.rsplit(".", 1)[1] in place]


def stored(folder: Path) -> list[str]:
    return [path.read_bytes().decode("latin-1") for path in folder.glob("catalog.sqlite*")]


def everything(api: Api) -> list[Object]:
    looked = (CONTRACT, kinds.NAMESPACE, kinds.SERVICE_ACCOUNT, kinds.SECRET, kinds.CONFIG_MAP, kinds.EVENT, kinds.ROLE)
    return [obj for kind in looked if kind is not CONTRACT or api.name == "broker" for obj in api.list(kind)]


@pytest.mark.parametrize(("buyer", "seller", "says"), [
    ("stranger", "green", "there is no Consumer stranger in the broker's cluster: declare it there"),
    ("lab", "red", "there is no Provider red in the broker's cluster: declare it there"),
    ("Lab_2", "green", "there is no Consumer Lab_2"),
])  # fmt: skip
async def test_a_purchase_that_nobody_can_deliver_fails_with_a_sentence(
    made: World, bench: Bench, buyer: str, seller: str, says: str
) -> None:
    await (await bench.provider(seller)).publish("a", offer())
    contract = await bought(bench, await bench.consumer(buyer))
    assert contract["state"] == "failed" and says in contract["reason"]
    assert made.names("broker", CONTRACT) == []


async def test_a_provider_that_is_away_is_waited_for(made: World, tmp_path: Path) -> None:
    peering = ClusterPeering(made.client("broker"), within=0.3)
    async with contracted(made) as (_, _, known), catalog(str(tmp_path / "c.sqlite"), peering=peering) as bench:
        await (await bench.provider()).publish("a", offer())
        far = await bench.consumer("far")
        known.put("Provider", "green", None)
        made_contract = (await far.ask("POST", "/api/v1/contracts", BUY)).json
        assert made_contract["state"] == "reserved"
        assert made_contract["reason"] == "the contract is not delivered yet; it is tried again"
        known.put("Provider", "green", made.client("green"))
        settled = await bench.parts.contracts.settled(made_contract["id"], 10.0)
        assert settled.state == "active" and settled.link == "handed-over"


async def test_a_contract_that_ends_while_it_is_delivered_leaves_nothing(made: World, bench: Bench) -> None:
    await (await bench.provider()).publish("a", offer())
    lab = await bench.consumer()
    contracts = bench.parts.contracts
    ids = []
    for turn in range(6):
        answer = asyncio.create_task(lab.ask("POST", "/api/v1/contracts", BUY))
        await asyncio.wait({answer}, timeout=0.01 * turn)  # each time at another point of its way
        ids += [contract.id for contract in contracts.concerning("lab") if contract.id not in ids]
        for id in ids:
            await contracts.end(id, "lab", "not wanted")
        await answer
    for contract in contracts.concerning("lab"):
        await contracts.end(contract.id, "lab", "not wanted")
    for contract in contracts.concerning("lab"):
        assert (await contracts.settled(contract.id, 10.0)).state in ("ended", "failed")
    assert made.names("broker", CONTRACT) == [] and made.names("lab", kinds.NODE) == ["lab-0"]


async def test_a_catalog_that_is_killed_goes_on_where_it_was(made: World, tmp_path: Path) -> None:
    storage = str(tmp_path / "c.sqlite")
    async with catalog(storage, peering=ClusterPeering(made.client("broker"))) as bench:
        await (await bench.provider()).publish("a", offer())
        lab = await bench.consumer()
        answer = asyncio.create_task(lab.ask("POST", "/api/v1/contracts", BUY))
        await made.until(lambda: made.names("broker", CONTRACT))
        (id,) = made.names("broker", CONTRACT)
        answer.cancel()
    async with contracted(made), catalog(storage, peering=ClusterPeering(made.client("broker"))) as bench:
        assert (await bench.parts.contracts.settled(id, 10.0)).link == "linked"
        assert made.names("broker", CONTRACT) == [id]
        await bench.parts.contracts.end(id, None, "enough")
    async with contracted(made), catalog(storage, peering=ClusterPeering(made.client("broker"))) as bench:
        assert (await bench.parts.contracts.settled(id, 10.0)).state == "ended"
        assert made.names("broker", CONTRACT) == [] and made.names("lab", kinds.NODE) == ["lab-0"]
