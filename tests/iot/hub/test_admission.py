"""Who is let in and what they are told: codes that register boards, events, streams that end with a token, secrets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from continuo.iot.sealed import seal
from continuo.iot.signing import code_hash
from continuo.iot.wire import Message, Outcome
from iot.hub.bench import CODE, PROJECT, hub, until

pytestmark = pytest.mark.anyio


async def test_a_code_is_good_once_for_one_key_and_expires(storage: str) -> None:
    async with hub(storage, code_life=60.0) as bench:
        lab, presence = await bench.client(), bench.core.presence
        board = await lab.board()
        assert board["code"] == "code-one"
        assert board["config"]["iotronic"]["board"] == {"code": "code-one"}
        with pytest.raises(LookupError, match="no board without a key"):
            await presence.register("code-one", 1, None)
        told = await presence.register("code-one", 1, "ab" * 32)
        assert told["iotronic"]["board"]["uuid"] == board["uuid"]
        assert (await presence.register("code-one", 2, "ab" * 32))["iotronic"]["board"]["uuid"] == board["uuid"]
        with pytest.raises(LookupError, match="was used already"):
            await presence.register("code-one", 3, "cd" * 32)
        seen = (await lab.get("/v1/boards/one")).json
        assert (seen["code"], seen["registration"]["state"], seen["status"]) == (None, "spent", "offline")
        code = (await lab.ask("POST", "/v1/boards/one/code")).json["code"]
        bench.clock.now += 61
        with pytest.raises(LookupError, match="has expired"):
            await presence.register(code, 4, "cd" * 32)
        code = (await lab.ask("POST", "/v1/boards/one/code")).json["code"]
        await presence.register(code, 5, "cd" * 32)
        assert presence.key_of(board["uuid"]) == "cd" * 32
        assert presence.was_key_of(board["uuid"], "ab" * 32) and not presence.was_key_of(board["uuid"], "cd" * 32)
        await lab.ask("DELETE", "/v1/boards/one")
        assert presence.key_of(board["uuid"]) is None and presence.was_key_of(board["uuid"], "cd" * 32)


async def test_events_resume_and_too_old_ones_are_gone(storage: str) -> None:
    async with hub(storage, keep=10) as bench:
        lab = await bench.client()
        await lab.board("b0")
        first = bench.core.feed.last
        for n in range(1, 5):
            await lab.board(f"b{n}")
        foreign = await bench.client(project="22222222-2222-4222-8222-222222222222")
        await foreign.board("b1", code="another")
        stream = await bench.http.get(f"{bench.url}/v1/events", headers={**lab.headers, "Last-Event-ID": str(first)})
        ids = []
        async with asyncio.timeout(10):
            while len(ids) < 5:
                line = await stream.content.readline()
                ids += [int(line[4:])] if line.startswith(b"id: ") else []
        stream.close()
        assert ids == list(range(first, first + 5)), "nobody else's are among them"
        for n in range(30):
            await lab.board(f"c{n}")
        gone = await lab.get(f"/v1/events?since={first}")
        assert gone.status == 410 and "begin without a number" in gone.fault
    async with hub(storage, keep=10) as bench:
        assert bench.core.feed.last == first + 4 + 1 + 30, "numbers go on after a restart"


async def test_secret_values_reach_the_board_and_nobody_who_asks(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        _, agent = await bench.online(lab, "one")
        said = {"name": "web", "command": ["serve"], "env": {"A": "1"}, "secret_env": {"PASSWORD": "canary-1"}}
        made = await lab.ask("POST", "/v1/boards/one/workloads", said)
        first = made.json["secret_env"]["PASSWORD"]
        assert made.json["env"] == {"A": "1"} and first == seal(made.json["uuid"], "PASSWORD", "canary-1")

        async def told(value: str) -> bool:
            runs = bench.core.registry.desired(agent.board)["workloads"][made.json["uuid"]]
            return bool(runs["env"] == {"A": "1", "PASSWORD": value} and "secret_env" not in runs)

        assert await told("canary-1")
        path = "/v1/boards/one/workloads/web"
        same = await lab.ask("PATCH", path, {"secret_env": {"PASSWORD": "canary-1"}})
        assert (same.json["generation"], same.json["secret_env"]["PASSWORD"]) == (1, first)
        other = await lab.ask("PATCH", path, {"secret_env": {"PASSWORD": "canary-2"}})
        assert (
            other.json["generation"] == 2 and other.json["secret_env"]["PASSWORD"] != first and await told("canary-2")
        )
        for answer in (made, same, other, await lab.get(path), await lab.get("/v1/boards/one/workloads")):
            assert b"canary" not in answer.body
        wrong = await lab.ask("PATCH", path, {"secret_env": {"PASSWORD": 5}})
        assert wrong.status == 400 and "secret_env" in wrong.fault


async def test_boards_of_others_keep_the_code_that_was_injected_until_they_ask_for_another(storage: str) -> None:
    async with hub(storage) as bench:
        maker, user = await bench.client(), await bench.client(project="elsewhere")
        plugin = await maker.plugin(public=True)
        _, own = await bench.online(maker, "own")
        _, foreign = await bench.online(user, "foreign")
        for lab, board in ((maker, "own"), (user, "foreign")):
            assert (await lab.ask("PUT", f"/v1/boards/{board}/plugins", {"plugin": plugin["uuid"]})).status == 200
        first = own.said["plugins"][plugin["uuid"]]["hash"]
        where = f"/v1/boards/foreign/plugins/{plugin['uuid']}"

        async def has(agent: Any, code: str) -> None:
            async def there() -> bool:
                return bool(agent.said["plugins"][plugin["uuid"]]["hash"] == code_hash(code))

            await until(there)

        for code in (CODE + "# two\n", CODE + "# three\n"):
            assert (await maker.ask("PATCH", f"/v1/plugins/{plugin['uuid']}", {"code": code})).status == 200
            await has(own, code)
        assert foreign.said["plugins"][plugin["uuid"]]["hash"] == first
        assert (await user.get(where)).json["pinned"] == first
        assert (await maker.get(f"/v1/boards/own/plugins/{plugin['uuid']}")).json["pinned"] is None
        assert (await user.ask("POST", where, {"action": "PluginStart"})).status == 200, (
            "what is started is what is there"
        )
        assert (await user.ask("PUT", "/v1/boards/foreign/plugins", {"plugin": plugin["uuid"]})).status == 200
        await has(foreign, CODE + "# three\n")
        assert (await user.get(where)).json["pinned"] is None


async def test_a_stream_ends_with_its_token(storage: str) -> None:
    async with hub(storage) as bench:
        other = await bench.client()
        token, secret = await bench.core.registry.add_token(PROJECT, "user_iot")
        async with bench.http.get(f"{bench.url}/v1/events", headers={"X-Auth-Token": secret}) as stream:
            assert (await stream.content.readuntil(b"\n\n")).startswith(b": since")
            await other.board("before")
            assert b"board.updated" in await stream.content.readuntil(b"\n\n")
            await bench.core.registry.remove_token(token.id)
            await other.board("after")
            assert await stream.content.read() == b""


async def test_a_log_that_is_followed_ends_with_its_token(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        _, agent = await bench.online(lab, "one")
        await lab.ask("POST", "/v1/boards/one/workloads", {"name": "job", "command": ["serve"]})
        token, secret = await bench.core.registry.add_token(PROJECT, "user_iot")
        told = iter(["hi\n", "", "secret\n"])
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def follow(_uuid: str, since: int | None, _tail: int | None = None) -> Message:
            if since is not None:
                asked.set()
                await go_on.wait()
            return Message({"text": next(told), "next": 1, "over": False}, Outcome.SUCCESS)

        agent.answers["WorkloadFollow"] = follow
        path = f"{bench.url}/v1/boards/one/workloads/job/logs?follow=true"
        async with bench.http.get(path, headers={"X-Auth-Token": secret}) as stream:
            assert await stream.content.readuntil(b"\n") == b"hi\n"
            await asked.wait()
            await bench.core.registry.remove_token(token.id)
            go_on.set()
            end = await stream.content.read()
        assert b"---" in end and b"secret" not in end
        assert next(told) == "secret\n", "the board is not asked for more"
