"""Every secret of a hub, its boards and the provider, looked for in everything that somebody else may read.

A whole hub, a real agent, a board as Lightning-rod's and a provider, all logging as much as they can. What each was told in
confidence must be in no log, no answer of REST, no event, no metric, no object but Secrets, and in no file of others.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from wampproto import serializers
from wampproto.auth.cryptosign import CryptoSignAuthenticator, generate_cryptosign_keypair

from cli.test_hub import Running, hub, running
from continuo.iot.agent.networks.tap import permitted
from continuo.iot.signing import key_at, private_hex
from continuo.iot.wire import REALM, REGISTER, Message, Outcome
from continuo.resources import kinds
from continuo.resources.boards import (
    BOARD,
    CLUSTER_PROVIDER_CONFIG,
    CONFIG_KINDS,
    MANAGED_KINDS,
    PLUGIN,
    PLUGIN_INJECTION,
)
from iot.agent.bed import LOOP, source
from iot.hub.bench import Client, until
from iot.hub.wamp.peer import Peer
from iot.provider.bench import Bench, provider_world

pytestmark = pytest.mark.anyio
CODE, ROD_CODE = "c0de-Of-The-Pump-7f3a9b", "c0de-Of-The-Rod-51d2e8"
PASSWORD = "passw0rd-Of-The-Workload"
GUESSES = {"code": "c0de-That-Nobody-Gave", "token": "t0ken-That-Nobody-Gave"}
LISTS = ("boards", "fleets", "plugins", "services", "networks", "ports", "requests", "events?since=0", "agent-policy")


@asynccontextmanager
async def agent(here: Running, home: Path, code: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """An agent with bootstrap settings; its log is `<home>.log`."""
    told = {"iotronic": {"board": {"code": code}, "wamp": {"registration-agent": {"url": here.told["wamp"]}}}}
    settings = home.with_suffix(".json")
    settings.write_text(json.dumps({**told, "continuo": {"ca": here.told["ca"]}}))
    with home.with_suffix(".log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "continuo.iot.agent", "--home", str(home), "--settings", str(settings), "--verbose",
            stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


def trusting(here: Running) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=here.told["ca"])


def authority(here: Running) -> str:
    return Path(here.told["ca"]).read_text()


async def joined(http: aiohttp.ClientSession, here: Running, realm: str, who: Any = None) -> Peer:
    there = await http.ws_connect(here.told["wamp"], protocols=["wamp.2.json"], ssl=trusting(here))
    peer = Peer(there, serializers.JSONSerializer())
    await peer.join(realm, who)
    return peer


async def a_lightning_rod(http: aiohttp.ClientSession, here: Running) -> tuple[str, Peer]:
    """Its secret realm, and its session there."""
    newcomer = await joined(http, here, REALM)
    told = Message.decode(await newcomer.call(REGISTER, code=ROD_CODE, session=newcomer.number)).message
    realm = told["iotronic"]["wamp"]["main-agent"]["realm"]
    rod = await joined(http, here, realm)
    await rod.come()
    await newcomer.close()
    return realm, rod


async def wrong_ones(http: aiohttp.ClientSession, here: Running) -> None:
    """Whoever guesses, or shows one thing's secret to another, is refused; what was shown is nobody's to read."""
    guesser = await joined(http, here, REALM)
    said = await guesser.call(REGISTER, code=GUESSES["code"], session=guesser.number, key="ab" * 32)
    assert Message.decode(said).result is Outcome.ERROR
    await guesser.close()
    public, private = generate_cryptosign_keypair()
    for realm, who in (
        (GUESSES["code"], None),
        (REALM, CryptoSignAuthenticator("nobody", private, {"pubkey": public})),
    ):
        with pytest.raises(Exception, match=r"no_such_realm|authentication_failed"):
            await joined(http, here, realm, who)
    shown = {"Authorization": f"Bearer {GUESSES['token']}", "X-Auth-Token": GUESSES["token"]}
    for url in (f"{here.told['rest']}/v1/boards", here.told["network"].rstrip("/") + "/v1/networks/ports/none"):
        async with http.get(url.replace("wss:", "https:"), headers=shown, ssl=trusting(here)) as answer:
            assert answer.status in (401, 426), await answer.text()
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await http.ws_connect(f"{here.told['tunnel']}/?dst=localhost:1", headers=shown, ssl=trusting(here))


async def declared(bench: Bench, here: Running, token: str) -> str:
    """What the cluster declares; the board's uuid."""
    await bench.secret("hub", credentials=json.dumps({"token": token}))
    await bench.secret("pump-code", code=CODE)
    spec = {
        "endpoint": here.told["rest"], "caBundle": authority(here), "authType": "token",
        "credentials": {"source": "Secret", "secretRef": {"name": "hub", "namespace": "default"}},
    }  # fmt: skip
    await bench.cluster.apply(CLUSTER_PROVIDER_CONFIG.new("default", spec=spec), manager="test")
    await bench.start()
    fields = {"codeSecretRef": {"name": "pump-code", "key": "code"}}
    await bench.make(BOARD, "pump", fields, writeConnectionSecretToRef={"name": "pump-told"})
    await bench.until_ready(BOARD, "pump", type_="Synced")
    await bench.make(PLUGIN, "meter", {"code": source(LOOP)})
    both = {"boardRef": {"name": "pump"}, "pluginRef": {"name": "meter"}}
    await bench.make(PLUGIN_INJECTION, "meter", {**both, "state": "Running"})
    return bench.external(BOARD, "pump")


async def asked(lab: Client, board: str) -> None:
    """What REST declares besides: a service, a port where that is possible, a workload."""
    service = await lab.made("services", name="ssh", port=22, protocol="TCP")
    path = f"/v1/boards/{board}"
    answer = await lab.ask("POST", f"{path}/services/{service['uuid']}/action", {"action": "ServiceEnable"})
    assert answer.status == 200, answer.body
    if permitted() is None:
        await lab.made("networks", name="lan", cidr="10.213.97.0/24")
        answer = await lab.ask("PUT", f"{path}/ports", {"network": "lan"})
        assert answer.status == 200, answer.body
    said = {"name": "hello", "command": ["/bin/echo", "hello"], "job": True, "secret_env": {"PASSWORD": PASSWORD}}
    await lab.made(f"boards/{board}/workloads", **said)


async def readable(lab: Client, board: str) -> dict[str, str]:
    """All that REST tells, by path."""
    told = {}
    for name in (
        *LISTS,
        *(f"boards/{board}/{part}" for part in ("", "plugins", "services", "ports", "state", "workloads")),
    ):
        if name.startswith("events"):
            continue
        answer = await lab.get(f"/v1/{name}".rstrip("/"))
        assert answer.status == 200, (name, answer.body)
        told[name] = answer.body.decode()
        if name in LISTS and name in answer.json:
            for each in answer.json[name]:
                told[f"{name}/{each['uuid']}"] = (await lab.get(f"/v1/{name}/{each['uuid']}")).body.decode()
    async with lab.http.get(f"{lab.url}/v1/events?since=0", headers=lab.headers) as stream:
        found = b""
        async with asyncio.timeout(20):
            while b"workload.changed" not in found:
                found += await stream.content.readany()
    told["events"] = found.decode()
    return told


def objects(bench: Bench) -> dict[str, str]:
    """All objects that are no Secrets, Kubernetes' own events among them."""
    those = [*(each.kind for each in MANAGED_KINDS), *(each.kind for each in CONFIG_KINDS), kinds.EVENT]
    return {f"{kind.kind}s": json.dumps(bench.api.list(kind)) for kind in those}


def files(folder: Path) -> dict[str, str]:
    """The files there that others than their owner may read."""
    return {
        str(path): path.read_bytes().decode("latin-1")
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_mode & 0o044 and _passable(path, folder)
    }


def _passable(path: Path, top: Path) -> bool:
    return all(above.stat().st_mode & 0o011 for above in path.parents if above == top or top in above.parents)


def tokens_at(home: Path) -> dict[str, str]:
    """What the agent keeps of its desired state: the tokens of its tunnels and ports."""
    text = "".join(path.read_text() for path in (home / "state").glob("*.json"))
    return {f"token {number}": found for number, found in enumerate(re.findall(r'"token":"([^"]{16,})"', text))}


@pytest.fixture
def there(tmp_path: Path) -> Iterator[tuple[Running, str]]:
    """A hub, and a token of its REST interface."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = f"127.0.0.1:{free.getsockname()[1]}"
    options = ("-v", "--allow-unsigned", "--allow-lightning-rod", "--metrics", metrics)
    with running(tmp_path / "hub", *options) as here:
        here.told["metrics"] = f"http://{metrics}/metrics"
        token = hub(here.data, "token", "add", "--project", "lab")
        hub(here.data, "board", "add", "rod", "--project", "lab", "--code", ROD_CODE)
        yield here, token


async def test_they_stay_with_those_whom_they_were_told(
    there: tuple[Running, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    home, (here, token) = tmp_path / "pump", there
    connector = aiohttp.TCPConnector(ssl=trusting(here))
    async with provider_world(started=False) as bench, aiohttp.ClientSession(connector=connector) as http:
        board = await declared(bench, here, token)
        lab = Client(http, here.told["rest"], {"X-Auth-Token": token})
        async with agent(here, home, CODE):
            await bench.until_ready(PLUGIN_INJECTION, "meter")
            realm, rod = await a_lightning_rod(http, here)
            await asked(lab, board)
            await wrong_ones(http, here)
            kept = await until(lambda: at_least(home, 2 if permitted() is None else 1))
            secrets = {
                "token": token, "password": PASSWORD, "code": CODE, "code of the rod": ROD_CODE, "realm": realm,
                "key": private_hex(key_at(home / "key.pem")), **kept,
                **{f"guessed {what}": guess for what, guess in GUESSES.items()},
            }  # fmt: skip
            told = {**await readable(lab, board), **objects(bench), "metrics": await metrics(http, here)}
            await rod.close()
    told |= {name: (tmp_path / name).read_text() for name in ("hub.log", "pump.log")} | {"provider": caplog.text}
    assert all(told.values()), "everything was read"
    told |= files(here.data) | files(home)
    found = [(name, place) for name, secret in secrets.items() for place, text in told.items() if secret in text]
    assert found == [], "a secret, and where it is to be read"
    told = {str(path): path.read_bytes().decode("latin-1") for path in here.data.glob("hub.sqlite*")}
    del secrets["password"]  # the board is told it whenever it comes
    found = [(name, place) for name, secret in secrets.items() for place, text in told.items() if secret in text]
    assert found == [], "a secret, and where it is to be read"
    for private in (home / "key.pem", home / "state", here.data):
        assert private.stat().st_mode & 0o077 == 0, private


async def metrics(http: aiohttp.ClientSession, here: Running) -> str:
    async with http.get(here.told["metrics"]) as answer:
        return await answer.text()


async def at_least(home: Path, count: int) -> dict[str, str]:
    found = tokens_at(home)
    return found if len(found) >= count else {}
