"""Boards that come, go, die, are silent, or are many: who is online is always who has a session that works."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import aiohttp
import cbor2
import pytest
from wampproto import messages, serializers

from continuo.iot.hub.ports import BoardNotConnected, CallFailed
from continuo.iot.hub.wamp import Limits
from continuo.iot.wire import Message, Outcome, hub_procedure
from iot.hub.wamp.peer import CallError, Peer, Site, good, site
from seeding import seeds

pytestmark = pytest.mark.anyio


def cut(peer: Peer) -> None:
    """As if the process was killed."""
    transport = peer.socket._response.connection.transport
    transport.abort()


async def test_a_board_that_is_killed_is_offline() -> None:
    async with site() as here:
        peer = await here.online("b1")
        cut(peer)
        await here.book.until(lambda: ("left", peer.number) in here.book.heard)
        assert here.router.session("b1") is None
        with pytest.raises(BoardNotConnected, match="Board b1 is not connected"):
            await here.router.call("b1", "DevicePing")


async def test_a_board_that_answers_no_ping_is_offline() -> None:
    async with site(Limits(ping=0.1)) as here:
        socket = await here.http.ws_connect(f"http://127.0.0.1:{here.port}/", protocols=["wamp.2.cbor"], autoping=False)
        peer = Peer(socket, serializers.CBORSerializer())
        await peer.join("s4t", here.book.board("b1"))
        assert peer._task is not None
        peer._task.cancel()  # reads no longer, so no pong is sent
        await peer.send(connection(peer))
        await here.book.until(lambda: any(what[0] == "left" for what in here.book.heard))
        assert [what[0] for what in here.book.heard] == ["connected", "left"]


def connection(peer: Peer) -> Any:
    return messages.Call(messages.CallFields(1, hub_procedure("connection"), [peer.authid, peer.number, {}]))


async def test_a_newer_session_takes_over_without_a_gap() -> None:
    async with site() as here:
        board = here.book.board("b1")
        older = await here.join(board)
        await older.come()
        newer = await here.join(board)
        await newer.offer("Who", lambda request: good("newer"))
        assert here.router.session("b1") == older.number
        await newer.come()
        assert here.router.session("b1") == newer.number
        assert (await here.router.call("b1", "Who")).message == "newer"
        await asyncio.wait_for(older.over.wait(), 10)
        assert older.reason == "iotronic.close.replaced"
        assert here.book.sessions == {"b1": newer.number}
        assert ("left", older.number) not in here.book.heard


async def test_a_board_can_be_called_as_soon_as_it_is_said_to_be_online() -> None:
    async with site() as here:
        peer = await here.join(here.book.board("b1"))
        await peer.offer("DevicePing", lambda request: good("pong"))
        calls: list[asyncio.Task[Message]] = []

        async def heard() -> None:
            calls.append(asyncio.create_task(here.router.call("b1", "DevicePing")))
            await asyncio.sleep(0)  # it begins while the arrival is being stored

        here.book.slow = heard
        await peer.come()
        assert [(await call).message for call in calls] == ["pong"]


async def test_a_session_whose_arrival_cannot_be_stored_takes_nothing_over() -> None:
    async def refused() -> None:
        raise LookupError("there is no board b1")

    async with site() as here:
        board = here.book.board("b1")
        here.book.slow = refused
        assert (await (await here.join(board)).come()).result is Outcome.ERROR
        assert here.router.session("b1") is None
        here.book.slow = None
        older, newer = await here.join(board), await here.join(board)
        await older.come()
        here.book.slow = refused
        assert (await newer.come()).result is Outcome.ERROR
        assert here.router.session("b1") == older.number


async def test_of_many_sessions_of_one_board_the_oldest_go() -> None:
    async with site(Limits(sessions=3)) as here:
        board = here.book.board("b1")
        current = await here.join(board)
        await current.come()
        others = [await here.join(board) for _ in range(4)]
        await asyncio.wait_for(asyncio.gather(others[0].over.wait(), others[1].over.wait()), 10)
        assert here.router.session("b1") == current.number
        assert not others[3].over.is_set()


async def test_who_never_says_that_it_is_there_is_closed() -> None:
    async with site(Limits(arrival=0.05, newcomer=0.05)) as here:
        board, newcomer = await here.join(here.book.board("b1")), await here.join()
        await asyncio.wait_for(asyncio.gather(board.over.wait(), newcomer.over.wait()), 10)
        assert board.reason == newcomer.reason == "iotronic.close.no_connection"
        assert here.book.heard == []


async def test_who_never_greets_is_closed() -> None:
    async with site(Limits(hello=0.05)) as here:
        socket = await here.socket()
        frame = await asyncio.wait_for(socket.receive(), 10)
        assert frame.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_a_board_that_was_deleted_is_sent_away() -> None:
    async with site() as here:
        peer = await here.online("b1")
        del here.book.keys["b1"]
        await here.router.close("b1")
        await asyncio.wait_for(peer.over.wait(), 10)
        assert peer.reason == "iotronic.close.removed"
        await here.router.close("b1")


async def test_a_call_waits_until_a_board_that_came_has_registered_the_method() -> None:
    async with site() as here:
        peer = await here.join(here.book.board("b1"))
        await peer.come()
        call = asyncio.create_task(here.router.call("b1", "DevicePing"))
        await peer.offer("DeviceEcho", lambda request: good("echo"))
        assert not call.done()
        await peer.offer("DevicePing", lambda request: good("pong"))
        assert (await call).message == "pong"


# Calls


async def test_calls_that_go_wrong_say_how() -> None:
    def broken(request: Any) -> str:
        raise RuntimeError("no such file")

    async with site(Limits(registering=0.05, calls=1)) as here:
        peer = await here.online(
            "b1",
            Silent=lambda request: None,
            Broken=broken,
            Number=lambda request: 7,
            Text=lambda request: "pong",
            More=lambda request: '{"message": 1, "result": "SUCCESS", "extra": 1}',
        )
        cases = {
            "Silent": "Silent on board b1: no answer within 0.05 s",
            "Broken": "board b1: board.error: no such file",
            "Number": "Number on board b1 answered no message",
            "Text": "Text on board b1 answered no message: a message is a JSON object",
            "More": "More on board b1 answered no message",
            "Missing": "board b1 has no method Missing",
        }
        for method, sentence in cases.items():
            with pytest.raises(CallFailed) as failed:
                await here.router.call("b1", method, timeout=0.05 if method == "Silent" else 10)
            assert sentence in str(failed.value)
        waiting = asyncio.create_task(here.router.call("b1", "Silent"))
        await asyncio.sleep(0)
        with pytest.raises(CallFailed, match="1 calls to it are under way"):
            await here.router.call("b1", "Silent")
        cut(peer)
        with pytest.raises(CallFailed, match="board b1 went away during the call"):
            await waiting


async def test_late_answers_and_answers_to_others_harm_nobody() -> None:
    async with site() as here:
        peer = await here.online("b1", Silent=lambda request: None, Ping=lambda request: good("pong"))
        with pytest.raises(CallFailed, match="no answer"):
            await here.router.call("b1", "Silent", timeout=0.02)
        for number in (1, 2, 3, 1 << 52):
            await peer.send(messages.Yield(messages.YieldFields(number, [good("late")])))
            await peer.send(messages.Error(messages.ErrorFields(68, number, "x.y", ["late"], None, {})))
            await peer.send(messages.Error(messages.ErrorFields(48, number, "x.y", ["late"], None, {})))
        assert (await here.router.call("b1", "Ping")).message == "pong"


async def test_a_board_that_reads_nothing_is_cut_off() -> None:
    async with site(Limits(sending=0.2)) as here:
        peer = await here.online("b1", Take=lambda request, much: None)
        assert peer._task is not None
        peer._task.cancel()
        calls = [asyncio.create_task(here.router.call("b1", "Take", "x" * 1_000_000, timeout=10)) for _ in range(40)]
        for call in calls:
            with pytest.raises(CallFailed):
                await call
        await here.book.until(lambda: ("left", peer.number) in here.book.heard)


async def test_the_hub_says_when_it_cannot_store() -> None:
    async def full() -> None:
        raise OSError("no space left on device")

    async with site() as here:
        peer = await here.join(here.book.board("b1"))
        here.book.slow = full
        with pytest.raises(CallError, match="unavailable"):
            await peer.come()
        assert here.router.session("b1") is None
        here.book.slow = None
        assert (await peer.come()).result is Outcome.SUCCESS


# Bad frames

FRAMES: dict[str, Any] = {
    "no CBOR": b"\xff\xff",
    "nothing": b"",
    "no list": cbor2.dumps({"a": 1}),
    "an empty list": cbor2.dumps([]),
    "an unknown type": cbor2.dumps([999, 1, {}]),
    "a type of text": cbor2.dumps(["48", 1, {}, "hub.stack4things.alive"]),
    "a call without URI": cbor2.dumps([48, 1, {}]),
    "a number of no request": cbor2.dumps([48, "one", {}, "hub.stack4things.alive"]),
    "HELLO once more": cbor2.dumps([1, "s4t", {"roles": {"caller": {}}}]),
    "a message of routers": cbor2.dumps([2, 1, {"roles": {"dealer": {}}}]),
    "a list in itself": bytes.fromhex("d81c83183001d81d00"),
    "a date": cbor2.dumps([48, 1, {}, "hub.stack4things.echo", [cbor2.CBORTag(1, 1)]]),
    "keys of numbers": cbor2.dumps([48, 1, {}, "hub.stack4things.echo", [{1: 2}]]),
    "too deep": b"\x85\x18\x30\x01\xa0\x61a" + b"\x81" * 100 + b"\x81\x00",
    "much too deep": b"\x85\x18\x30\x01\xa0\x61a" + b"\x81" * 5000 + b"\x81\x00",
    "text where binary was agreed": "[48, 1, {}, 'x']",
    "more than is allowed": b"\x00" * (2 << 20),
}


@pytest.mark.parametrize("case", FRAMES)
@pytest.mark.parametrize("known", [False, True], ids=["stranger", "board"])
async def test_bad_frames_end_a_session_and_nothing_else(case: str, known: bool) -> None:
    async with site() as here:
        good_one = await here.online("b2", Ping=lambda request: good("pong"))
        if known:
            peer = await here.online("b1")
            socket, over = peer.socket, peer.over
        else:
            socket, over = await here.socket(), None
        frame = FRAMES[case]
        if case == "HELLO once more" and not known:
            await socket.send_bytes(frame)  # the first one makes a newcomer of a stranger
        with contextlib.suppress(ConnectionError):
            await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        if over is not None:
            await asyncio.wait_for(over.wait(), 10)
            await here.book.until(lambda: ("left", peer.number) in here.book.heard)
        else:
            while (await asyncio.wait_for(socket.receive(), 10)).type is aiohttp.WSMsgType.BINARY:
                pass
        assert (await here.router.call("b2", "Ping")).message == "pong"
        assert here.router.session("b2") == good_one.number


async def test_no_websocket_gets_a_sentence() -> None:
    async with site() as here:
        async with here.http.get(f"http://127.0.0.1:{here.port}/") as answer:
            assert answer.status == 426
            assert "wamp.2.cbor" in await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await here.socket("chat")


async def test_who_floods_is_read_slowly_and_others_are_not() -> None:
    async with site(Limits(rate=100, burst=20)) as here:
        flood, calm = await here.online("b1"), await here.online("b2", Ping=lambda request: good("pong"))
        for number in range(100, 200):
            await flood.send(messages.Call(messages.CallFields(number, hub_procedure("report"), ["b1", {}])))
        for _ in range(10):
            assert (await here.router.call("b2", "Ping")).message == "pong"
        assert sum(what[0] == "reported" for what in here.book.heard) < 60
        assert not calm.over.is_set()


# Many


async def test_two_hundred_boards() -> None:
    async with site() as here:
        names = [f"b{number}" for number in range(200)]
        ping = {"Ping": lambda request, who: good(who)}
        await asyncio.gather(*(here.online(name, **ping) for name in names))
        assert here.router.online == 200
        answers = await asyncio.gather(*(here.router.call(name, "Ping", name) for name in names))
        assert [answer.message for answer in answers] == names
        for peer in here.peers:
            cut(peer)
        await here.book.until(lambda: not here.book.sessions)
        assert here.router.online == here.router.sessions == 0


@pytest.mark.parametrize("seed", seeds(2))
async def test_chaos_ends_in_what_is_true(seed: int) -> None:
    """Boards come, are killed, come twice, are deleted, the hub restarts; after each storm presence is what there is."""
    chance = random.Random(seed)
    async with site() as here:
        names = [f"b{number}" for number in range(12)]
        boards = {name: here.book.board(name) for name in names}
        for _ in range(6):
            await asyncio.gather(*(storm(here, boards, name, random.Random(chance.random())) for name in names))
            assert here.router.online == here.router.sessions == len(here.book.sessions)
            for name in names:
                if here.router.session(name) is not None:
                    assert (await here.router.call(name, "Ping")).message == "pong"


async def storm(here: Site, boards: dict[str, Any], name: str, chance: random.Random) -> None:
    last: int | None = None
    for _ in range(chance.randint(1, 5)):
        peer = await here.join(boards[name])
        await peer.offer("Ping", lambda request: good("pong"))
        await peer.come()
        last = None
        match chance.randrange(4):
            case 0:
                cut(peer)
            case 1:
                await peer.close()
            case 2:
                await here.router.close(name)
            case _:
                last = peer.number
    await here.book.until(lambda: here.router.session(name) == here.book.sessions.get(name) == last)


async def test_a_hub_that_stops_says_so_and_boards_come_back() -> None:
    async with site() as here:
        port, board = here.port, here.book.board("b1")
        peer = await here.join(board)
        await peer.come()
        book = here.book
    await asyncio.wait_for(peer.over.wait(), 10)
    assert peer.reason in ("wamp.close.system_shutdown", "")
    assert book.sessions == {}
    async with site(port=port) as again:
        again.book.keys.update(book.keys)
        await (await again.join(board)).come()
        assert again.router.online == 1


async def test_messages_survive_all_serialisations() -> None:
    async with site() as here:
        said = {"text": "ü\u2028", "n": 2**52, "list": [None, True, 1.5], "deep": [[[{"a": {}}]]]}
        for json in (True, False):
            name = f"b{json}"
            peer = await here.join(here.book.board(name), json=json)
            await peer.offer("Echo", lambda request, what: Message(what, Outcome.RUNNING).encode())
            await peer.come()
            assert await here.router.call(name, "Echo", said) == Message(said, Outcome.RUNNING)
