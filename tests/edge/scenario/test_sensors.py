"""From the board to the buyers' endpoints, and the end of one contract: the sensors' demo with its facts asserted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from continuo.cli.sensors_demo import appearing, counting, market, scene
from continuo.cli.sensors_demo.market import Buyer, sensor_of
from continuo.cli.sensors_demo.receivers import Claim
from continuo.edge.rear.client import Sellers
from continuo.edge.relay.client import RelayClient
from continuo.resources import kinds
from continuo.resources.errors import ApiError, Forbidden, Unreachable
from continuo.resources.meta import Object
from continuo.runtime.following import until
from continuo.trust.http import PeerConnector
from continuo.trust.ids import Authorized
from continuo.trust.issuer.generations import Policy
from continuo.trust.issuer.issuer import Issuer
from edge.scenario.shop import BROKERS, WAIT, Shop, shop

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("broker", BROKERS)
async def test_sensors_are_found_bought_delivered_and_one_contract_is_cancelled(tmp_path: Path, broker: str) -> None:
    async with shop(tmp_path, broker) as made:
        appeared = await appearing.appear(made.clusters[scene.PROVIDER], WAIT)
        assert [(each.device, each.node, len(each.flavors)) for each in appeared] == [
            (scene.STWIN, "provider-1", 6), (scene.BOX, "provider-1", 2), (scene.TILE, "provider-2", 2),
            (scene.MOTOR, "provider-2", 2),
        ]  # fmt: skip
        first, second = await made.buyer(scene.FIRST), await made.buyer(scene.SECOND)
        narrow, wide = await _asked(first)
        contracts = [await _bought(made, first, flavor) for flavor in (narrow, wide)]
        solver = await market.solve(made.clusters[scene.SECOND], made.receivers[scene.LAB], WAIT)
        assert (solver["spec"]["findCandidate"], solver["status"]["peering"]) == (True, "Solved")
        await _each_leaves_the_edge_once(made, narrow, wide)
        await _refusals(made, first, second, narrow)
        await _cancelled(made, first, contracts[0], narrow, wide)
        await _the_last_contract_takes_the_rule_with_it(made, narrow)


async def _asked(first: Buyer) -> tuple[Object, Object]:
    """The filters of the slides: two sensors under 25 ms, one under 16 ms."""
    wide, narrow = await first.ask(scene.WIDE), await first.ask(scene.NARROW)
    assert sorted(_name(each) for each in wide) == [f"{scene.BOX}-hts221", f"{scene.STWIN}-hts221"]
    assert [_name(each) for each in narrow] == [f"{scene.STWIN}-hts221"]
    return narrow[0], next(each for each in wide if _name(each).startswith(scene.BOX))


def _name(flavor: Object) -> str:
    return str(flavor["spec"]["flavorType"]["typeData"]["characteristics"]["name"])


async def _bought(made: Shop, first: Buyer, flavor: Object) -> str:
    ends = [made.receivers[scene.ARCHIVE], made.receivers[scene.SCREEN]]
    contract = await first.purchase(await first.reserve(flavor, ends))
    await first.active(contract, WAIT)
    sensor = sensor_of(flavor)
    await made.receivers.until(lambda: all(each.count(sensor) for each in ends), WAIT, "first readings")
    secrets = (await made.clusters[scene.PROVIDER].list(kinds.FLUIDOS_CONTRACT, scene.SPACE)).items
    assert "whsec_" not in str(secrets)
    return contract


async def _each_leaves_the_edge_once(made: Shop, narrow: Object, wide: Object) -> None:
    mine = [made.receivers[scene.ARCHIVE], made.receivers[scene.SCREEN]]
    paths = {sensor_of(narrow): [*mine, made.receivers[scene.LAB]], sensor_of(wide): mine}
    await made.receivers.until(lambda: made.receivers[scene.LAB].count(sensor_of(narrow)) > 0, WAIT, "the lab")
    found = await counting.once(made.brokers[scene.EDGES[0]].port, made.receivers, paths, WAIT)
    for each in found:
        assert each.published == each.readings == each.events == counting.READINGS
        assert set(each.posts.values()) == {each.readings}
        assert len(each.posts) == len(paths[each.sensor])
        device = scene.board_ids(scene.EDGES[0])[scene.STWIN if each.sensor == sensor_of(narrow) else scene.BOX]
        claim = Claim(str(device), scene.gateway_id(scene.EDGES[0]), "L0")
        assert each.claims == {claim: sum(each.posts.values())}
    assert made.relay.relay.totals.doubled == 0
    rules = (await made.clusters[scene.PROVIDER].list(kinds.KUBEEDGE_RULE, scene.SPACE)).items
    assert len(rules) == 2  # one for each source, however many bought it
    assert len(made.relay.relay.routes) == 3
    assert all(receiver.refused == 0 for receiver in made.receivers)


async def _refusals(made: Shop, first: Buyer, second: Buyer, narrow: Object) -> None:
    archive, lab = made.receivers[scene.ARCHIVE], made.receivers[scene.LAB]
    (shaken,) = [each for each in await first.ask(scene.SHAKEN) if _name(each).startswith(scene.MOTOR)]
    contract = await first.purchase(await first.reserve(shaken, [archive], exclusive=True))
    await first.active(contract, WAIT)
    again = await market.refusal(second.reserve(shaken, [lab]))
    assert (again.status, str(again)) == (
        409, f"flavor {shaken['metadata']['name']} is sold to another buyer: nobody else can have it meanwhile",
    )  # fmt: skip
    metadata = await market.refusal(second.reserve_for(narrow, [scene.METADATA]))
    assert metadata.status == 400
    assert "169.254.169.254 is a cloud's metadata service" in str(metadata)
    stranger = await market.refusal(second.purchase(await first.reserve(narrow, [archive])))
    assert stranger.status in (403, 404)  # a transaction is of use to nobody else


async def _cancelled(made: Shop, first: Buyer, contract: str, narrow: Object, wide: Object) -> None:
    archive, screen, lab = (made.receivers[each] for each in scene.ENDPOINTS)
    ended, other = sensor_of(narrow), sensor_of(wide)
    await first.cancel(contract, WAIT)
    before = archive.count(ended), screen.count(ended), archive.count(other), screen.count(other), lab.count(ended)
    await made.receivers.until(
        lambda: archive.count(other) >= before[2] + 5 and screen.count(other) >= before[3] + 5
        and lab.count(ended) >= before[4] + 5, WAIT, "the other paths to go on",
    )  # fmt: skip
    assert (archive.count(ended), screen.count(ended)) == before[:2]
    assert contract not in made.relay.relay.routes
    assert contract not in [each["contractID"] for each in await first.contracts()]


async def _the_last_contract_takes_the_rule_with_it(made: Shop, narrow: Object) -> None:
    provider, second = made.clusters[scene.PROVIDER], made.clusters[scene.SECOND]
    before = (await provider.list(kinds.KUBEEDGE_RULE, scene.SPACE)).items
    await made.run(made.beat())  # a rule goes when its node is heard of, which would go on sending otherwise
    await second.delete(kinds.FLUIDOS_CONTRACT, await market.bought(second), scene.SPACE)
    left = await until(
        provider, kinds.KUBEEDGE_RULE, lambda rules: len(rules) == len(before) - 1, scene.SPACE, timeout=WAIT
    )
    characteristics = narrow["spec"]["flavorType"]["typeData"]["characteristics"]
    assert not any(f"{scene.STWIN}/{characteristics['model']}" in str(rule["spec"]) for rule in left)


async def test_who_proves_no_identity_that_is_known_controls_no_relay_and_buys_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path, "embedded") as made:
        buyer = await made.trust.identity(scene.buyer_id(scene.FIRST))
        connector = PeerConnector(buyer.client_context(Authorized.of(ids=[scene.RELAY_ID])))
        async with aiohttp.ClientSession(connector=connector) as http:
            relay = RelayClient(made.relay.control_url, http)
            with pytest.raises(Forbidden, match=f"{scene.buyer_id(scene.FIRST)} may not control this relay"):
                await relay.routes()
        elsewhere = Issuer("elsewhere.example")
        provider = made.trust.issuers[scene.PROVIDER]
        elsewhere.federate(provider.domain, provider.bundle())
        async with elsewhere.identity("spiffe://elsewhere.example/cp/site") as stranger:
            context = stranger.client_context(Authorized.of(ids=[scene.site_id(scene.PROVIDER)]))
            sellers = Sellers(lambda: context)
            with pytest.raises((Unreachable, ApiError)):
                await sellers.at(made.gateway).flavors()
            await sellers.close()


@pytest.mark.long
async def test_readings_of_a_board_whose_delegation_is_taken_away_stop_and_the_contract_says_why(
    tmp_path: Path,
) -> None:
    brief = Policy(token=timedelta(seconds=4))
    async with shop(tmp_path, "embedded", brief) as made:
        await appearing.appear(made.clusters[scene.PROVIDER], WAIT)
        first = await made.buyer(scene.FIRST)
        narrow, wide = await _asked(first)
        kept, ended = [await _bought(made, first, flavor) for flavor in (narrow, wide)]
        device = scene.board_ids(scene.EDGES[0])[scene.BOX]
        made.trust.deregister(device)
        provider, why = made.clusters[scene.PROVIDER], f"no gateway has proved that it speaks for {device} now"
        await until(
            provider, kinds.FLUIDOS_CONTRACT, lambda found: why in _trouble(found, ended), scene.SPACE, timeout=WAIT
        )
        archive, gone, other = made.receivers[scene.ARCHIVE], sensor_of(wide), sensor_of(narrow)
        before, was = archive.count(gone), archive.count(other)
        await made.receivers.until(lambda: archive.count(other) >= was + 10, WAIT, "the other board to go on")
        assert archive.count(gone) == before
        allocations = (await provider.list(kinds.ALLOCATION, scene.SPACE)).items
        said = {each["spec"]["contract"]["name"]: each["status"] for each in allocations}
        assert said[ended]["status"] == "Error" and why in said[ended]["message"]
        assert said[kept]["status"] == "Active"


def _trouble(contracts: list[Object], name: str) -> str:
    """Why readings of a contract are not delivered, as its seller has been told."""
    found = [each for each in contracts if each["metadata"]["name"] == name]
    return str((found[0].get("status") or {}).get("delivery", {}).get("trouble", ""))
