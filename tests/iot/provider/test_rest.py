"""The client: who asks, what an answer means, pages, and lists that are shared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from continuo.iot.provider import credentials
from continuo.iot.provider.addresses import Reach
from continuo.iot.provider.auth import Keystone, NoAuth, Password, StaticToken
from continuo.iot.provider.external import Absent, Conflicting, NotConnected, NotSent, Refused, Unknown
from continuo.iot.provider.lists import Lists
from continuo.iot.provider.rest import Rest, reason
from continuo.resources.boards_config import (
    AuthType,
    Credentials,
    CredentialsSource,
    FromEnvironment,
    FromFilesystem,
    ProviderConfigSpec,
)

from .fake import Fake, refusal, served

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def app(handler: object, path: str = "/{tail:.*}") -> AsyncIterator[str]:
    made = web.Application()
    made.router.add_route("*", path, handler)  # type: ignore[arg-type]
    runner = web.AppRunner(made)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    finally:
        await runner.cleanup()


ANSWERS = [
    (404, "no such board", Absent), (409, "name taken", Conflicting), (403, "not allowed", Refused),
    (400, "Board b is not connected.", NotConnected), (400, "name is missing", Refused), (401, "who?", Refused),
    (500, "No reply on topic", Unknown), (503, "later", Unknown), (429, "slow down", NotSent), (405, "no", Refused),
]  # fmt: skip


@pytest.mark.parametrize(("status", "sentence", "error"), ANSWERS)
async def test_what_an_answer_means(status: int, sentence: str, error: type[Exception]) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return refusal(status, sentence)

    async with app(handler) as url, aiohttp.ClientSession() as http:
        with pytest.raises(error, match=sentence.rstrip(".?")):
            await Rest(http, url, NoAuth()).get("boards/b")


@pytest.mark.parametrize(
    "body", ["<html>bad gateway</html>", "", "[1", '{"error_message": 5}', '{"error_message": "{}"}']
)
async def test_nonsense_is_no_crash_and_never_absence(body: str) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=502, text=body)

    async with app(handler) as url, aiohttp.ClientSession() as http:
        with pytest.raises(Unknown):
            await Rest(http, url, NoAuth()).find("boards/b")
    assert isinstance(reason(json.loads(body) if body.startswith("{") else body), str)


async def test_nobody_there_is_told_from_no_answer() -> None:
    never = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    async with app(handler) as url, aiohttp.ClientSession() as http:
        with pytest.raises(Unknown) as caught:
            await Rest(http, url, NoAuth(), timeout=0.2).get("boards")
        assert not isinstance(caught.value, NotSent)
        never.set()
    async with aiohttp.ClientSession() as http:
        with pytest.raises(NotSent):
            await Rest(http, url, NoAuth()).get("boards")


async def test_keystone_is_asked_once_for_many_again_before_the_end_and_once_more_after_a_401() -> None:
    asked: list[object] = []
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/v3/auth/tokens":
            asked.append(await request.json())
            body = {"token": {"expires_at": "1970-01-01T01:00:00.000000Z"}}
            return web.json_response(body, status=201, headers={"X-Subject-Token": f"token-{len(asked)}"})
        seen.append(request.headers["X-Auth-Token"])
        return refusal(401, "expired") if seen[-1] in refused else web.json_response({"ok": True})

    refused: set[str] = set()
    now = 0.0
    password = Password.of({"username": "u", "password": "p4ss", "project": "lab"})
    assert "p4ss" not in repr(password)
    async with app(handler) as url, aiohttp.ClientSession() as http:
        rest = Rest(http, url, Keystone(http, url, password, lambda: now))
        await asyncio.gather(*(rest.get("boards") for _ in range(5)))
        assert len(asked) == 1 and set(seen) == {"token-1"}
        refused.add("token-1")
        assert await rest.get("boards") == {"ok": True} and len(asked) == 2
        now = 3595.0
        await rest.get("boards")
        assert len(asked) == 3
        now = 0.0
        refused.update({f"token-{number}" for number in range(9)})
        with pytest.raises(Refused, match="credentials of the ProviderConfig"):
            await rest.get("boards")
        assert len(asked) == 4  # once more, and not for ever
    body = json.dumps(asked[0])
    assert '"name": "lab"' in body and '"methods": ["password"]' in body


async def test_wrong_passwords_are_said_without_the_password() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "no"}}, status=401)

    password = Password.of({"application_credential_id": "i", "application_credential_secret": "s3cret"})
    async with app(handler) as url, aiohttp.ClientSession() as http:
        with pytest.raises(Refused, match="does not accept the credentials") as caught:
            await Rest(http, url, Keystone(http, url, password, lambda: 0.0)).get("boards")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(Refused, match="the credentials have no username"):
        Password.of({"password": "s3cret"})


async def no_secret(_namespace: str, _name: str) -> None:
    return None


BAD_CREDENTIALS = [
    (Credentials(source=CredentialsSource.ENVIRONMENT, env=FromEnvironment(name="HUB")), "own", "ClusterProviderConfigs"),
    (Credentials(source=CredentialsSource.FILESYSTEM, fs=FromFilesystem(path="/etc/shadow")), "own", "own environment"),
    (Credentials(source=CredentialsSource.ENVIRONMENT, env=FromEnvironment(name="HUB")), "", "no environment variable HUB"),
    (Credentials(source=CredentialsSource.FILESYSTEM, fs=FromFilesystem(path="/nowhere/x")), "", "cannot read /nowhere/x"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "namespace", "sentence"), BAD_CREDENTIALS)
async def test_who_writes_into_one_namespace_does_not_read_what_the_provider_has(
    said: Credentials, namespace: str, sentence: str
) -> None:
    spec = ProviderConfigSpec(endpoint="http://hub", credentials=said)
    with pytest.raises(Exception, match=sentence):
        await credentials.read(spec, namespace, no_secret, {})


def test_credentials_are_json_or_a_token() -> None:
    spec = ProviderConfigSpec(endpoint="http://hub", auth_type=AuthType.TOKEN)

    def keystone(_url: str, _password: Password) -> Keystone:
        raise AssertionError("no Keystone is wanted")

    assert credentials.auth_of(spec, b"abc\n", keystone) == StaticToken("abc")
    assert credentials.auth_of(spec, b'{"token": "abc"}', keystone) == StaticToken("abc")
    for raw in (b"", b"{}", b"two words", b"[1]"):
        with pytest.raises(Refused):
            credentials.auth_of(spec, raw, keystone)
    assert "abc" not in repr(StaticToken("abc"))


async def test_endpoints_do_not_lead_to_a_clouds_metadata_or_where_the_operator_says_no() -> None:
    for url in ("http://169.254.169.254/latest", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/"):
        with pytest.raises(Refused, match="where the provider sends nothing"):
            await Reach().check(url)
    await Reach().check("http://127.0.0.1:8812")
    with pytest.raises(Refused):
        await Reach(["127.0.0.0/8"]).check("http://127.0.0.1:8812")


async def test_a_thousand_boards_are_one_list_for_each_poll_however_many_ask() -> None:
    async with served(Fake(events=False)) as fake, aiohttp.ClientSession() as http:
        for number in range(2500):
            uuid = fake.uuid()
            fake.rows["boards"][uuid] = {"uuid": uuid, "name": f"b{number}", "status": "online"}
        now = 0.0
        lists = Lists(Rest(http, fake.url, NoAuth()), lambda: now, lambda: 60.0, lambda: False)
        wanted = list(fake.rows["boards"])
        found = await asyncio.gather(*(lists.boards.find(uuid) for uuid in wanted))
        assert [row["uuid"] for row in found if row] == wanted
        assert fake.count("GET", "boards.*") == 3  # pages
        now = 61.0
        await asyncio.gather(*(lists.boards.find(uuid) for uuid in wanted))
        assert fake.count("GET", "boards.*") == 6
        gone = wanted.pop()
        del fake.rows["boards"][gone]
        now = 122.0
        assert await lists.boards.find(gone) is None
        assert fake.log[-1] == ("GET", f"boards/{gone}")  # a list may lag: what is missing is asked for itself
        searching = [lists.boards.search(lambda row: row["name"] == "b7") for _ in range(50)]
        assert {row["name"] for row in await asyncio.gather(*searching) if row} == {"b7"}
        assert lists.boards.lists <= 5


async def test_many_events_are_one_list_and_few_are_themselves() -> None:
    async with served(Fake()) as fake, aiohttp.ClientSession() as http:
        for number in range(300):
            uuid = fake.uuid()
            fake.rows["boards"][uuid] = {"uuid": uuid, "name": f"b{number}", "status": "online"}
        boards = list(fake.rows["boards"])
        lists = Lists(Rest(http, fake.url, NoAuth()), lambda: 0.0, lambda: 60.0, lambda: True)
        await lists.boards.find(boards[0])
        before = len(fake.log)
        for uuid in boards[:3]:
            lists.boards.changed(uuid)
        await asyncio.gather(*(lists.boards.find(uuid) for uuid in boards for _ in range(2)))
        assert sorted(fake.log[before:]) == sorted(("GET", f"boards/{uuid}") for uuid in boards[:3])
        before = len(fake.log)
        for uuid in boards:
            lists.boards.changed(uuid)
        await asyncio.gather(*(lists.boards.find(uuid) for uuid in boards))
        assert fake.log[before:] == [("GET", "boards/detail")]
