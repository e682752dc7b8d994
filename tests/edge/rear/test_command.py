"""`continuo sensors` against a seller: what it prints, and how it fails."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from cli.command import Answer, continuo
from continuo.resources.kinds import CONFIG_MAP, FLUIDOS_CONTRACT, KNOWN_CLUSTER
from edge.rear.gateway import serving
from edge.rear.rear_world import SPACE, World, selling, sensor, settled, world
from edge.rear.test_market import known

Says = Callable[..., Awaitable[Answer]]
CHEAP = 'type == "Humidity" && manufacturer == "STMicroelectronics" && latency < 16ms'
SINK = "https://sink.consumer.eu/in"


def run(body: Callable[[World, Says, str], Awaitable[None]]) -> None:
    """The commands run in threads of their own, with loops of their own, as processes would."""

    async def main() -> None:
        async with world() as made:
            provider = made.make("provider")
            for uid, latency in (("b", "20"), ("a", "14")):
                await provider.create(sensor(uid, latency=latency))
            async with selling(provider, time.time) as seller, serving(seller) as gateway:
                await known(seller, 2)

                async def says(*arguments: str) -> Answer:
                    return await asyncio.to_thread(continuo, "sensors", *arguments)

                await body(made, says, f"http://{gateway.address}")

    asyncio.run(main())


def test_from_looking_to_cancelling() -> None:
    async def body(made: World, says: Says, url: str) -> None:
        at = ("--url", url, "--buyer", "c1node")
        assert (await says("ls", *at, "-o", "name")).out == (
            "flavors/provider.eu-sensor-a\nflavors/provider.eu-sensor-b\n"
        )
        table = (await says("ls", *at, "--where", CHEAP)).out.splitlines()
        assert len(table) == 2 and table[1].split()[:6] == [
            "provider.eu-sensor-a", "Temperature,Humidity", "hts221", "STMicroelectronics", "14", "ms",
        ]  # fmt: skip
        assert "edge-a" in (await says("ls", *at, "-o", "wide")).out
        assert json.loads((await says("ls", *at, "-o", "json")).out)[0]["metadata"]["name"] == "provider.eu-sensor-a"
        assert "latency: 14 ms" in (await says("show", "provider.eu-sensor-a", *at)).out
        nothing = await says("ls", *at, "--where", "latency < 1ms")
        assert (nothing.code, nothing.out, nothing.err) == (0, "", "no sensor fits\n")
        reserved = yaml.safe_load(
            (await says("reserve", "provider.eu-sensor-a", "--endpoint", SINK, *at, "-o", "yaml")).out
        )
        bought = await says("buy", reserved["transactionID"], *at, "-o", "name")
        again = await says("buy", "provider.eu-sensor-a", "--endpoint", SINK, *at, "-o", "name")
        assert bought.out == again.out and bought.out.startswith("contracts/contract-provider-eu-sensor-a-")
        name = bought.out.strip().removeprefix("contracts/")
        assert name in (await says("contracts", *at)).out
        assert (await says("cancel", name, *at)).out == f"contract {name} is cancelled\n"
        await settled(lambda: not made.objects("provider", FLUIDOS_CONTRACT))
        assert (await says("cancel", name, *at)).code == 0  # gone is as good

    run(body)


def test_the_sellers_that_a_cluster_knows_are_asked(tmp_path: Path) -> None:
    async def body(made: World, says: Says, url: str) -> None:
        consumer = made.make("consumer")
        file = tmp_path / "kubeconfig"
        file.write_text(made.kubeconfig("consumer"), encoding="utf-8")
        at = ("--kubeconfig", str(file), "--insecure")
        assert (await says("ls", *at)).sentence.startswith("continuo: configmaps")
        data = {"domain": "consumer.eu", "nodeID": "c1node", "ip": "127.0.0.1:1"}
        await consumer.create(CONFIG_MAP.new("fluidos-node-identity", SPACE, data=data))
        nobody = await says("ls", *at)
        assert nobody.code == 1 and "has no KnownCluster to ask" in nobody.sentence
        for name, address in (("there", url.removeprefix("http://")), ("gone", "127.0.0.1:9")):
            await consumer.create(KNOWN_CLUSTER.new(f"knowncluster-{name}", SPACE, spec={"address": address}))
        found = await says("ls", *at, "-o", "name")
        assert found.out.count("\n") == 2 and "http://127.0.0.1:9 does not answer" in found.err

    run(body)


BAD = [
    (("ls", "--where", "latency < soon"), 2, "undeclared reference to 'soon'"),
    (("ls", "--where", "latency <"), 2, "--where"),
    (("show", "nothing"), 2, "no flavor nothing is for sale"),
    (("reserve", "provider.eu-sensor-a", "--endpoint", "ftp://x.example"), 2, "must begin with http:// or https://"),
    (("reserve", "provider.eu-sensor-a", "--endpoint", SINK, "--rate", "20Hz"), 2, "gives 10 readings a second"),
    (("reserve", "provider.eu-sensor-a"), 2, "Missing option '--endpoint'"),
    (("buy", "provider.eu-sensor-a"), 2, "say with --endpoint where its readings are to go"),
    (("buy", "1234-5678"), 2, "there is no transaction 1234-5678 here"),
    (("reserve", "provider.eu-sensor-a", "--endpoint", SINK, "--spiffe", "x"), 2, "no SPIFFE ID"),
]


def test_what_is_wrong_is_said_in_one_sentence() -> None:
    async def body(made: World, says: Says, url: str) -> None:
        for arguments, code, sentence in BAD:
            said = await says(*arguments, "--url", url)
            assert (said.code, sentence in said.sentence) == (code, True), (arguments, said)
        alone = (
            "buy",
            "provider.eu-sensor-b",
            "--exclusive",
            "--endpoint",
            SINK,
            "--url",
            url,
            "-o",
            "name",
            "--buyer",
        )
        first, again, late = await says(*alone, "one"), await says(*alone, "one"), await says(*alone, "two")
        assert first.out == again.out != "" and (first.code, again.code, late.code) == (0, 0, 1)
        assert "flavor provider.eu-sensor-b is sold to another buyer" in late.sentence

    run(body)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("ls", "--url", "provider.eu:3004"), 2, "--url must begin with http:// or https://"),
        (("ls", "--url", "https://127.0.0.1:9"), 2, "nobody could be dealt with"),
        (("ls", "--url", "http://127.0.0.1:9", "--allow-domain", "x.example"), 2, "with --insecure there are none"),
        (("ls", "--url", "https://127.0.0.1:9", "--allow", "me"), 2, "no SPIFFE ID"),
        (("contracts", "--url", "http://127.0.0.1:9"), 1, "does not answer"),
    ],
)
def test_sellers_that_cannot_be_asked(arguments: tuple[str, ...], code: int, sentence: str) -> None:
    said = continuo("sensors", *arguments)
    assert (said.code, sentence in said.sentence) == (code, True), said
