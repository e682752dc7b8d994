"""REAR over HTTP: what FLUIDOS nodes read and write, every refusal with its status and sentence, and mutual TLS."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from continuo.edge.rear.seller.seller import Seller
from continuo.kube.client import KubeCluster
from edge.rear.gateway import serving
from edge.rear.rear_world import World, flavor, k8slice, seller_of, selling, sensor, settled, world

ENDPOINTS = {"endpoints": ["https://sink.consumer.eu:4487/in"]}
BUYER = {
    "ID": "c1node",
    "IP": "10.9.0.4:30000",
    "domain": "consumer.eu",
    "additionalInformation": {"liqoID": "liqo-c1"},
}


class Http:
    def __init__(self, session: aiohttp.ClientSession, base: str, seller: Seller) -> None:
        self._session, self._base, self.seller = session, f"http://{base}/api/v2", seller

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        async with self._session.request(method, self._base + path, data=data, headers=headers) as answer:
            text = await answer.text()
            kind = answer.content_type
            return answer.status, json.loads(text) if "json" in kind else text

    async def reserve(self, name: str, data: Any, **more: Any) -> tuple[int, Any]:
        configuration = {"type": "sensor", "data": data}
        return await self(
            "POST", "/reservations", {"flavorID": name, "buyerID": BUYER, "configuration": configuration} | more
        )


def run(body: Callable[[World, KubeCluster, Http], Awaitable[None]], **more: Any) -> None:
    async def main() -> None:
        async with world() as made:
            provider = made.make("provider")
            async with (
                selling(provider, time.time, **more) as seller,
                serving(seller) as gateway,
                aiohttp.ClientSession() as session,
            ):
                await body(made, provider, Http(session, gateway.address, seller))

    asyncio.run(main())


async def there(http: Http, count: int) -> None:
    changed = asyncio.Event()
    http.seller.books.on_flavor(lambda _old, _new: changed.set())
    while len(http.seller.shelf) != count:
        changed.clear()
        await changed.wait()


def test_a_sensor_is_listed_as_fluidos_nodes_read_it() -> None:
    async def body(made: World, provider: KubeCluster, http: Http) -> None:
        assert await http("GET", "/flavors") == (204, "")
        assert await http("GET", "/flavors/sensors") == (200, [])
        await provider.create(sensor("s1"))
        await there(http, 1)
        status, (found,) = await http("GET", "/flavors")
        assert status == 200 and found.pop("timestamp").endswith("Z")
        assert found == {
            "flavorID": "provider.eu-sensor-s1", "providerID": "p1node",
            "type": {"name": "sensor", "data": {"characteristics": {
                "uid": "s1", "node": "edge-a", "name": "Sensor s1", "model": "hts221", "manufacturer": "STMicroelectronics",
                "market": "Industrial",
                "type": {"sensorCategory": "Environmental", "sensorType": ["Temperature", "Humidity"]},
                "samplingRate": "10", "accuracy": ["0.5", "3.5"], "consumption": "0.9", "latency": "14",
                "properties": {"unit": {"measurement": ["°C", "%"], "consumption": "mW", "samplingRate": "Hz",
                                        "latency": "ms"}},
                "access": {"type": "MQTT", "source": "eventbus-fluidos", "resource": {"topic": "", "node": ""}}}}},
            "networkPropertyType": "networkProperty",
            "location": {"latitude": "45.06", "longitude": "7.66", "altitude": "Italy", "city": "Turin",
                         "additionalNotes": ""},
            "price": {"amount": "1.5", "currency": "EUR", "period": "hour"},
            "owner": {"ID": "p1node", "IP": "127.0.0.1:3004", "domain": "provider.eu",
                      "additionalInformation": {"liqoID": "liqo-p1"}},
            "availability": True,
        }  # fmt: skip
        found["timestamp"] = (await http("GET", "/flavors/provider.eu-sensor-s1"))[1]["timestamp"]
        assert (await http("GET", "/flavors/sensor"))[1] == (await http("GET", "/flavors/sensors"))[1] == [found]
        assert (await http("GET", "/flavors/k8slices"))[1] == (await http("GET", "/flavors/service"))[1] == []

    run(body)


def test_a_k8slice_is_spelled_as_the_go_code_spells_it() -> None:
    async def body(made: World, provider: KubeCluster, http: Http) -> None:
        await provider.create(k8slice())
        await there(http, 1)
        _, (found,) = await http("GET", "/flavors/k8slice?filter[cpu][range][min]=4&filter[architecture][match]=amd64")
        assert found["type"]["name"] == "k8slice"
        assert found["type"]["data"]["charateristics"]["cpu"] == "8"
        assert found["type"]["data"]["properties"]["carbonFootprint"] == {"embodied": 1, "operational": [2, 3]}
        assert (await http("GET", "/flavors/k8slices?filter[cpu][range][min]=9"))[1] == []

    run(body)


def test_both_spellings_of_filters_mean_the_same() -> None:
    async def body(made: World, provider: KubeCluster, http: Http) -> None:
        for uid, latency in (("a", "14"), ("b", "16"), ("c", "40")):
            await provider.create(sensor(uid, latency=latency))
        await there(http, 3)

        async def names(query: str) -> list[str]:
            status, found = await http("GET", f"/flavors/sensors?{query}")
            assert status == 200, found
            return sorted(each["flavorID"][-1] for each in found)

        assert await names("filter[latency][lt]=16") == ["a"]
        assert await names("filter[latency][range][max]=16") == ["a", "b"]
        assert await names("filter[sensor_type][match]=humidity&filter[sensor_manufacturer][match]=STMicroelecronics") == [
            "a", "b", "c",
        ]  # fmt: skip
        assert await names("filter[sampling_rate][exact]=10&filter[model][match]=HTS221") == ["a", "b", "c"]
        assert await names("filter[market][match]=Consumer") == []

    run(body)


def test_a_trade_on_the_wire() -> None:
    async def body(made: World, provider: KubeCluster, http: Http) -> None:
        await provider.create(sensor("s1"))
        await there(http, 1)
        status, transaction = await http.reserve("provider.eu-sensor-s1", ENDPOINTS)
        assert status == 200 and set(transaction) == {
            "transactionID", "flavorID", "configuration", "buyer", "clusterID", "expirationTime",
        }  # fmt: skip
        assert transaction["buyer"] == BUYER and transaction["clusterID"] == "liqo-c1"
        assert transaction["configuration"] == {
            "type": "sensor", "data": {"endpoints": [{"url": "https://sink.consumer.eu:4487/in"}]},
        }  # fmt: skip
        name = transaction["transactionID"]
        assert len(name.partition("-")[0]) == 32
        assert (await http("GET", f"/transactions/{name}"))[1] == transaction
        said = {"liqoCredentials": {"clusterID": "liqo-c1", "kubeconfig": ""}, "ingressTelemetryEndpoint": None}
        status, contract = await http("POST", f"/transactions/{name}/purchase", said)
        assert status == 200 and contract["transactionID"] == name and contract["buyerID"] == BUYER
        assert {"contractID", "flavor", "buyerClusterID", "seller", "peeringTargetCredentials", "expirationTime",
                "extraInformation", "configuration", "ingressTelemetryEndpoint"} <= set(contract)  # fmt: skip
        assert contract["status"]["allocation"] == "Provisioning"
        assert (await http("POST", f"/transactions/{name}/purchase"))[1]["contractID"] == contract["contractID"]
        assert (await http("GET", f"/contracts/{contract['contractID']}"))[0] == 200
        assert (await http("DELETE", f"/contracts/{contract['contractID']}"))[0] == 202
        await settled(lambda: not made.objects("provider", _contracts()))
        assert (await http("DELETE", f"/contracts/{contract['contractID']}"))[0] == 404

    run(body)


def _contracts() -> Any:
    from continuo.resources.kinds import FLUIDOS_CONTRACT

    return FLUIDOS_CONTRACT


def test_other_spellings_of_requests_are_understood() -> None:
    async def body(made: World, provider: KubeCluster, http: Http) -> None:
        await provider.create(sensor("s1"))
        await there(http, 1)
        body = {
            "FlavorID": "provider.eu-sensor-s1",
            "Buyer": {"NodeID": "c1node", "ip": "10.9.0.4:30000", "Domain": "consumer.eu"},
            "Configuration": {"Type": "Sensor", "Data": ENDPOINTS},
        }  # fmt: skip
        status, transaction = await http("POST", "/reservations", body)
        assert status == 200, transaction
        path = f"/transactions/{transaction['transactionID'].upper()}/purchase"
        assert (await http("POST", path, {"LiqoCredentials": {"ClusterID": "liqo-c1"}}))[0] == 200

    run(body)


S1 = "provider.eu-sensor-s1"
GOOD = {"flavorID": S1, "buyerID": BUYER, "configuration": {"type": "sensor", "data": ENDPOINTS}}


def data(**more: Any) -> Any:
    return GOOD | {"configuration": {"type": "sensor", "data": ENDPOINTS | more}}


def endpoint(url: Any, **more: Any) -> Any:
    return data(endpoints=[{"url": url, **more} if more else url])


BAD: list[tuple[Any, int, str]] = [
    (b"{", 400, "the body is no JSON"),
    (b"\xff\xfe", 400, "the body is no JSON"),
    (b"[" * 5000, 400, "the body is no JSON"),
    ([], 400, "the body must be a JSON object"),
    ({}, 400, "flavorID must be text, not nothing"),
    (GOOD | {"flavorID": 7.5}, 404, "there is no flavor 7.5"),
    (GOOD | {"flavorID": "nobody-has-this"}, 404, "there is no flavor nobody-has-this here"),
    (GOOD | {"flavorID": "../../etc"}, 404, "there is no flavor ../../etc"),
    (GOOD | {"flavorID": "x" * 300}, 400, "flavorID has 300 characters"),
    ({"flavorID": S1}, 400, "buyerID must be an object"),
    (GOOD | {"buyerID": "c1node"}, 400, "buyerID must be an object, not text"),
    (GOOD | {"buyerID": {"IP": "x"}}, 400, "buyerID.ID must be text, not nothing"),
    (GOOD | {"buyerID": {"ID": ["a"]}}, 400, "buyerID.ID must be text, not a list"),
    ({"flavorID": S1, "buyerID": BUYER}, 400, "configuration is missing"),
    (GOOD | {"configuration": 3}, 400, "configuration must be an object"),
    (GOOD | {"configuration": {"type": "boat", "data": {}}}, 400, "configuration.type is 'boat'"),
    (GOOD | {"configuration": {"type": "k8slice", "data": {}}}, 400, "configuration.type is K8Slice, but"),
    (GOOD | {"configuration": {"type": "sensor", "data": []}}, 400, "configuration.data must be an object"),
    (GOOD | {"configuration": {"type": "sensor", "data": {}}}, 400, "configuration.data.endpoints must be a list of URLs"),
    (data(endpoints=[]), 400, "configuration.data.endpoints must be a list of URLs"),
    (data(endpoints=[f"https://a.example/{n}" for n in range(65)]), 400, "has 65 entries: at most 64"),
    (data(endpoints=["https://a.example/x", "https://a.example/x"]), 400, "endpoints[1] is the same URL"),
    (data(exlusive=True), 400, "configuration.data has 'exlusive', which means nothing"),
    (data(exclusive="yes"), 400, "configuration.data.exclusive must be true or false"),
    (data(samplingRate="often"), 400, "configuration.data.samplingRate must be a number"),
    (data(samplingRate=0), 400, "configuration.data.samplingRate is 0: it must be above 0"),
    (data(samplingRate="20 Hz"), 400, "samplingRate is 20 Hz, but flavor provider.eu-sensor-s1 gives 10 readings a second"),
    (data(sensors="s1"), 400, "configuration.data.sensors must be a list"),
    (data(sensors=["s2"]), 400, "configuration.data.sensors must name s1 too"),
    (data(sensors=["s1", "s9"]), 400, "configuration.data.sensors names 's9', which the flavor's device does not have"),
    (endpoint("ftp://a.example/x"), 400, "endpoints[0].url must begin with http:// or https://"),
    (endpoint("https://"), 400, "endpoints[0].url names no host"),
    (endpoint("https://u:p@a.example/"), 400, "endpoints[0].url has a user or a password in it"),
    (endpoint("https://a.example/x,y"), 400, "endpoints[0].url has a comma in it"),
    (endpoint("https://a.example/x y"), 400, "endpoints[0].url has a space"),
    (endpoint("https://a.example/#x"), 400, "endpoints[0].url has a fragment"),
    (endpoint("https://a.example:99999/"), 400, "endpoints[0].url is no URL: Port out of range"),
    (endpoint("https://a.example/" + "x" * 2048), 400, "characters: at most 2048"),
    (endpoint(7), 400, "endpoints[0] must be a URL, or an object"),
    (endpoint("https://a.example/", auth=1), 400, "endpoints[0] has 'auth', which means nothing"),
    (endpoint("https://a.example/", authentication="x"), 400, "authentication must be an object"),
    (endpoint("https://a.example/", authentication={"scheme": "basic"}), 400, "authentication.scheme is 'basic'"),
    (endpoint("https://a.example/", authentication={"scheme": "bearer"}), 400, "authentication.secret is missing"),
    (endpoint("https://a.example/", authentication={"scheme": "none", "secret": "x"}), 400, "secret means nothing"),
    (endpoint("https://a.example/", authentication={"scheme": "spiffe", "spiffeID": "x"}), 400, "no SPIFFE ID"),
    (endpoint("http://a.example/", authentication={"scheme": "spiffe", "spiffeID": "x"}), 400, "needs an https:// URL"),
    (GOOD | {"flavorID": "provider.eu-vm-1"}, 400, "flavors of the type VM are not sold here"),
    (GOOD | {"flavorID": "provider.eu-k8slice-01ab"}, 400, "configuration.type is Sensor, but the flavor is a K8Slice"),
]  # fmt: skip
SLICES = [
    ({}, "configuration.data lacks cpu, memory, pods"),
    ({"cpu": "9", "memory": "1Gi", "pods": "10"}, "configuration.data.cpu is 9, but the flavor has 8"),
    ({"cpu": "500m", "memory": "1Gi", "pods": "10"}, "cpu is 500m: the least that is sold is 1"),
    ({"cpu": "1.3", "memory": "1Gi", "pods": "10"}, "it is sold from 1 in steps of 500m"),
    ({"cpu": "a lot", "memory": "1Gi", "pods": "10"}, "configuration.data.cpu is no quantity"),
    ({"cpu": "-1", "memory": "1Gi", "pods": "10"}, "configuration.data.cpu is -1: it must be above 0"),
]
ROUTES = [
    ("GET", "/flavors/sensors?filter[colour][match]=red", 400, "colour"),
    ("GET", "/flavors/sensors?filter[latency][smells]=4", 400, "smells"),
    ("GET", "/flavors/sensors?filter[latency][lt]=soon", 400, "soon"),
    ("GET", "/flavors/sensors?storage=4", 400, "storage"),
    ("GET", "/flavors/vm?filter[cpu][match]=4", 400, "cannot be filtered"),
    ("GET", "/flavors/boats", 404, "there is no flavor boats for sale here"),
    ("GET", "/transactions/nothing", 404, "there is no transaction nothing here"),
    ("POST", "/transactions/..%2f..%2fx/purchase", 404, "there is nothing at"),
    ("POST", "/transactions/unknown/purchase", 404, "reserve a flavor first"),
    ("GET", "/contracts/none", 404, "there is no contract none here"),
    ("DELETE", "/contracts/none", 404, "there is no contract none here"),
    ("DELETE", "/transactions/none", 404, "there is no transaction none here"),
    ("GET", "/contracts", 400, "?buyer=ID must say whose contracts are meant"),
    ("PUT", "/reservations", 405, "PUT is not for /api/v2/reservations"),
    ("GET", "/nothing", 404, "there is nothing at /api/v2/nothing"),
]


def test_bad_requests_get_a_status_and_a_sentence() -> None:
    async def body(made: World, provider: KubeCluster, http: Http) -> None:
        for each in (sensor("s1"), k8slice(), flavor("provider.eu-vm-1", "VM", {})):
            await provider.create(each)
        await there(http, 3)
        for sent, status, sentence in BAD:
            got, said = await http("POST", "/reservations", sent)
            assert (got, sentence in said, said.count("\n")) == (status, True, 1), (sent, got, said)
        for asked, sentence in SLICES:
            configuration = {"type": "k8slice", "data": asked}
            sent = {"flavorID": "provider.eu-k8slice-01ab", "buyerID": BUYER, "configuration": configuration}
            got, said = await http("POST", "/reservations", sent)
            assert (got, sentence in said) == (400, True), (asked, got, said)
        for method, path, status, sentence in ROUTES:
            got, said = await http(method, path)
            assert (got, sentence in said) == (status, True), (path, got, said)
        got, _ = await http("POST", "/reservations", b"x" * (300 << 10))
        assert got == 413
        got, said = await http("POST", "/reservations", b"{", Accept="application/problem+json, text/plain")
        assert got == 400 and said["code"] == "bad-request" and said["detail"].startswith("the body is no JSON")
        for kind in ("transactions", "contracts", "allocations"):
            assert not made.objects("provider", _kind(kind)), kind

    run(body)


def _kind(plural: str) -> Any:
    from continuo.resources import kinds

    return {"transactions": kinds.TRANSACTION, "contracts": kinds.FLUIDOS_CONTRACT, "allocations": kinds.ALLOCATION}[
        plural
    ]


def test_nothing_is_sold_before_everything_is_known() -> None:
    async def main() -> None:
        async with world() as made:
            seller = seller_of(made.make("provider"), time.time)
            async with serving(seller) as gateway, aiohttp.ClientSession() as session:
                http = Http(session, gateway.address, seller)
                status, said = await http("GET", "/flavors")
                assert status == 503 and "nothing can be sold yet" in said
                await seller.start()
                assert (await http("GET", "/flavors"))[0] == 204
                await seller.stop()

    asyncio.run(main())


@pytest.mark.parametrize("gone", [False, True])
def test_changes_are_told_on_one_stream(gone: bool) -> None:
    async def body(made: World, provider: KubeCluster, http: Http) -> None:
        await provider.create(sensor("s1"))
        await there(http, 1)
        _, transaction = await http.reserve(S1, ENDPOINTS)
        _, contract = await http("POST", f"/transactions/{transaction['transactionID']}/purchase")
        url, accept = f"{http._base}/contracts?buyer=c1node", {"Accept": "text/event-stream"}
        async with http._session.get(url, headers=accept) as stream:
            first = await _event(stream)
            assert first == ("contract", contract["contractID"], "Provisioning")
            if gone:
                await http("DELETE", f"/contracts/{contract['contractID']}")
                while (told := await _event(stream))[0] != "gone":
                    assert told[2] == "Released"
            else:
                (path,) = made.objects("provider", _kind("allocations"))
                patch = {"status": {"status": "Active", "message": "well"}}
                await provider.patch(
                    _kind("allocations"), path["metadata"]["name"], patch, "fluidos", subresource="status"
                )
                assert (await _event(stream))[2] == "Active"

    run(body)


async def _event(stream: aiohttp.ClientResponse) -> tuple[str, str, str]:
    event = ""
    async for line in stream.content:
        text = line.decode().strip()
        if text.startswith("event: "):
            event = text[7:]
        elif text.startswith("data: "):
            said = json.loads(text[6:])
            return event, said["contractID"], (said.get("status") or {}).get("allocation", "")
    raise AssertionError("the stream ended")
