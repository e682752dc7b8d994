"""Who gets in: only the board whose port it is, by what it was told; and what happens when an end goes."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import Hashable, Mapping

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from continuo.iot.hub.strangers import Strangers
from continuo.iot.hub.tunnels import Limits
from continuo.iot.tunnels.client import NotOpen, Reverse
from continuo.iot.tunnels.wire import OURS, WSTUN, bearer, told
from iot.tunnels.bed import Bed, board, echo, exposed, hub, service
from ports import free_ports

pytestmark = pytest.mark.anyio


def dial(bed: Bed, path: str, token: str | None = None, protocol: str = OURS) -> connect:
    headers = bearer(token) if token is not None else {}
    return connect(bed.url + path, subprotocols=[protocol], additional_headers=headers, proxy=None)  # type: ignore[list-item]


async def refused(bed: Bed, path: str, token: str | None = None, protocol: str = OURS) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as caught:
        async with dial(bed, path, token, protocol):
            pass
    return caught.value.response.status_code, (caught.value.response.body or b"").decode()


NOT_YOURS = (401, "This tunnel is not yours: the port is not reserved for this board, or the token is wrong.\n")


@pytest.mark.parametrize(
    ("path", "token", "answer"),
    [
        ("/?dst=localhost:{other}", "{token}", NOT_YOURS),
        ("/?dst=localhost:{port}", "wrong", NOT_YOURS),
        ("/?dst=localhost:{port}", "", NOT_YOURS),
        ("/?dst=localhost:{port}", None, NOT_YOURS),
        ("/?dst=localhost:{port}&uuid=b-1", None, NOT_YOURS),
        ("/?dst=localhost:{port}", "{others_token}", NOT_YOURS),
        ("/?dst=localhost:1", "{token}", NOT_YOURS),
        ("/?id=00000000-0000-4000-8000-000000000000", "{token}", NOT_YOURS),
        ("/?id=", None, NOT_YOURS),
        ("/", "{token}", (400, "Ask for ?dst=HOST:PORT or for ?id=ID.\n")),
        (
            "/?dst=localhost:0",
            "{token}",
            (400, "dst=localhost:0 names no public port: dst=HOST:PORT with a port from 1 to 65535\n"),
        ),
        (
            "/?dst=99999",
            "{token}",
            (400, "dst=99999 names no public port: dst=HOST:PORT with a port from 1 to 65535\n"),
        ),
        (
            "/?dst=localhost:٥٠",
            "{token}",
            (400, "dst=localhost:٥٠ names no public port: dst=HOST:PORT with a port from 1 to 65535\n"),
        ),
    ],
)
async def test_refused(path: str, token: str | None, answer: tuple[int, str]) -> None:
    async with hub() as bed:
        port, own = await bed.server.open("b-1")
        other, others = await bed.server.open("b-2")
        words: Mapping[str, object] = {"port": port, "token": own, "other": other, "others_token": others}
        shown = token.format_map(words) if token is not None else None
        assert await refused(bed, urllib.parse.quote(path.format_map(words), safe="/?=&:"), shown) == answer
        assert not bed.server.alive(port) and not bed.server.alive(other)


async def next_id(control: ClientConnection) -> str:
    said = told(await asyncio.wait_for(control.recv(), 20))
    assert said is not None and said[0] == "NC"
    return said[1]


class Watched(Strangers):
    """Says when nobody is left."""

    def __init__(self, most_of_one: int) -> None:
        super().__init__(most_of_one=most_of_one)
        self.none = asyncio.Event()

    def gone(self, who: Hashable) -> None:
        super().gone(who)
        if not self.count:
            self.none.set()


async def test_who_stays_silent_takes_only_its_share_and_who_is_in_stays() -> None:
    strangers = Watched(most_of_one=2)
    async with asyncio.timeout(30), hub(strangers=strangers) as bed:
        port, token = await bed.server.open("b-1")
        async with dial(bed, f"/?dst=localhost:{port}", token):
            assert strangers.count == 0
            silent = [await asyncio.open_connection(*bed.server.address) for _ in range(2)]
            reader, writer = await asyncio.open_connection(*bed.server.address)
            assert await reader.read() == b"", "there is no room for a third"
            writer.close()
            assert bed.server.alive(port)
            strangers.none.clear()
            for _, each in silent:
                each.close()
            await strangers.none.wait()
            assert await refused(bed, "/", token) == (400, "Ask for ?dst=HOST:PORT or for ?id=ID.\n")


async def test_a_data_connection_is_for_one_board_and_good_once() -> None:
    async with hub() as bed:
        port, token = await bed.server.open("b-1")
        other, others = await bed.server.open("b-2")
        async with (
            dial(bed, f"/?dst=localhost:{port}", token) as control,
            dial(bed, f"/?dst=localhost:{other}", others),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            identifier = await next_id(control)
            assert await refused(bed, f"/?id={identifier}", others) == NOT_YOURS
            assert await refused(bed, f"/?id={identifier}") == NOT_YOURS
            async with dial(bed, f"/?id={identifier}", token) as data:
                assert await refused(bed, f"/?id={identifier}", token) == NOT_YOURS
                await data.send(b"mine")
                assert await reader.readexactly(4) == b"mine"
            writer.close()


async def test_two_answers_at_the_same_time_are_one() -> None:
    async with hub() as bed:
        port, token = await bed.server.open("b-1")
        async with dial(bed, f"/?dst=localhost:{port}", token) as control:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            path = f"/?id={await next_id(control)}"
            both = await asyncio.gather(
                *(dial(bed, path, token).__aenter__() for _ in range(2)), return_exceptions=True
            )
            open_ones = [each for each in both if isinstance(each, ClientConnection)]
            for each in open_ones:
                try:
                    await each.send(b"x")
                except ConnectionClosed:
                    continue
            assert await reader.readexactly(1) == b"x"
            for each in open_ones:
                await each.close()
            assert await asyncio.wait_for(reader.read(-1), 20) == b""
            writer.close()


async def test_a_board_that_answers_nothing_is_given_up() -> None:
    async with hub(limits=Limits(answer=0.05)) as bed:
        port, token = await bed.server.open("b-1")
        async with dial(bed, f"/?dst=localhost:{port}", token) as control:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            identifier = await next_id(control)
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.readexactly(1), 20)
            writer.close()
            assert await refused(bed, f"/?id={identifier}", token) == NOT_YOURS


async def test_while_the_board_is_away_a_connection_is_reset() -> None:
    async with hub() as bed:
        port, _ = await bed.server.open("b-1")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.close()


async def test_a_port_is_reserved_for_one_board_until_it_is_closed() -> None:
    (port,) = free_ports(1)
    async with hub(ports=[port]) as bed:
        assert await bed.server.open("b-1", port) == await bed.server.open("b-1", port)
        with pytest.raises(OSError, match=f"^port {port} is another board's$"):
            await bed.server.open("b-2", port)
        with pytest.raises(OSError, match="all of them are reserved"):
            await bed.server.open("b-2")
        _, before = await bed.server.open("b-1", port)
        await bed.server.close(port)
        await bed.server.close(port)
        assert (await bed.server.open("b-2"))[1] != before


async def test_ports_that_others_have_are_passed_by() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        (free,) = free_ports(1)
        async with hub(ports=[number, free]) as bed:
            assert (await bed.server.open("b-1"))[0] == free
            with pytest.raises(
                OSError, match=f"^port {number} cannot be reserved on 127.0.0.1: port {number}: .*in use"
            ):
                await bed.server.open("b-1", number)


async def test_a_newer_end_replaces_an_older() -> None:
    async with exposed() as (bed, services, public):
        _, token = await bed.server.open("b-1", public)
        async with dial(bed, f"/?dst=localhost:{public}", token) as newer:
            await bed.changes.until(lambda: "another process" in str(services.status()))
            assert newer.close_code is None


async def test_closing_a_port_ends_all_in_it() -> None:
    async with exposed() as (bed, services, public):
        reader, writer = await asyncio.open_connection("127.0.0.1", public)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await bed.server.close(public)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.close()
        await bed.changes.until(lambda: not services.status()["s-1"]["up"])
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", public)


async def test_the_board_is_back_after_the_hub_was_away() -> None:
    listen, public = free_ports(2)
    changed = asyncio.Event()
    async with service() as port, board(changed.set) as services:
        for _ in range(2):
            async with hub(ports=[public], listen=listen) as bed:
                _, token = await bed.server.open("b-1", public)
                await services.set({"s-1": bed.wanted(port, public, token)})
                await bed.changes.until(lambda bed=bed: bed.server.alive(public))  # type: ignore[misc]
                reader, writer = await asyncio.open_connection("127.0.0.1", public)
                writer.write(b"again")
                assert await reader.readexactly(5) == b"again"
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.readexactly(1), 20)
            writer.close()


async def test_a_service_that_is_no_more_desired_is_closed() -> None:
    async with exposed() as (bed, services, public):
        await services.set({})
        assert services.status() == {}
        await bed.changes.until(lambda: not bed.server.alive(public))


async def test_a_description_that_makes_no_sense_is_said() -> None:
    async with hub() as bed, board(bed.changes) as services:
        await services.set({"s-1": {"name": "x", "port": "no", "public_port": 1, "url": "ws://x", "token": "t"}})
        await bed.changes.until(lambda: "description is wrong" in services.status()["s-1"]["message"])


async def test_a_plain_visitor_learns_only_what_this_is() -> None:
    async with hub() as bed:
        answer = await asyncio.to_thread(urllib.request.urlopen, bed.url.replace("ws:", "http:"), timeout=20)
        assert (answer.status, answer.read()) == (200, b"Reverse tunnels of boards.\n")


# What an unmodified wstun does: no token, its board's name, `tunnel-protocol` only.


async def test_wstun_is_let_in_soon_after_its_port_was_reserved() -> None:
    now = 0.0
    async with hub(lightning_rod=lambda board: board == "b-1", clock=lambda: now) as bed:
        public, _ = await bed.server.open("b-1")
        control = f"/?dst=localhost:{public}"
        assert await refused(bed, control, None, WSTUN) == NOT_YOURS
        assert await refused(bed, f"{control}&uuid=b-2", None, WSTUN) == NOT_YOURS
        other, _ = await bed.server.open("b-2")
        assert await refused(bed, f"/?dst=localhost:{other}&uuid=b-2", None, WSTUN) == NOT_YOURS
        now = 121.0
        assert await refused(bed, f"{control}&uuid=b-1", None, WSTUN) == NOT_YOURS
        await bed.server.open("b-1", public)
        async with dial(bed, f"{control}&uuid=b-1", None, WSTUN) as end:
            assert end.subprotocol == WSTUN
            reader, writer = await asyncio.open_connection("127.0.0.1", public)
            async with dial(bed, f"/?id={await next_id(end)}", None, WSTUN) as data:
                writer.write(b"hello")
                assert await data.recv() == b"hello"
                await data.send(b"bye")
                assert await reader.readexactly(3) == b"bye"
                writer.close()
                with pytest.raises(ConnectionClosed):
                    await asyncio.wait_for(data.recv(), 20)


async def test_where_a_token_was_shown_nobody_comes_without() -> None:
    async with exposed(lightning_rod=True) as (bed, services, public):
        assert await refused(bed, f"/?dst=localhost:{public}&uuid=b-1", None, WSTUN) == NOT_YOURS
        await services.set({})
        await bed.changes.until(lambda: not bed.server.alive(public))
        assert await refused(bed, f"/?dst=localhost:{public}&uuid=b-1", None, WSTUN) == NOT_YOURS


async def test_our_client_as_wstun() -> None:
    async with hub(lightning_rod=True) as bed, service(echo) as port:
        public, _ = await bed.server.open("b-1")
        tunnel, opened = Reverse(bed.url, public, ("127.0.0.1", port), board="b-1"), asyncio.Event()
        running = asyncio.create_task(tunnel.run(opened.set))
        await asyncio.wait_for(opened.wait(), 20)
        await bed.changes.until(lambda: bed.server.alive(public))
        reader, writer = await asyncio.open_connection("127.0.0.1", public)
        writer.write(b"hello")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), 20) == b"hello"
        writer.close()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_why_a_tunnel_is_not_open_is_a_sentence() -> None:
    async with hub() as bed:
        tunnel = Reverse(bed.url, 1, ("127.0.0.1", 1), token="t")
        with pytest.raises(NotOpen, match=r"refused the tunnel to port 1: This tunnel is not yours"):
            await tunnel.run(lambda: None)
    with pytest.raises(NotOpen, match="cannot be reached"):
        await tunnel.run(lambda: None)
