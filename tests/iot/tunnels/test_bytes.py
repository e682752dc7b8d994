"""What goes through a tunnel is what was sent: all of it, in order, in both directions, and its ends."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.iot.hub.tunnels import Limits
from iot.tunnels.bed import Changes, board, echo, exposed, hub, service

pytestmark = pytest.mark.anyio


async def exchange(port: int, chunks: list[bytes]) -> bytes:
    """Send chunks, end, and read what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    try:
        return await asyncio.wait_for(reader.read(-1), 20)
    finally:
        await sending
        writer.close()


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(1, 200_000), st.integers(0, 255)), max_size=6))
def test_chunks_of_any_size(sizes: list[tuple[int, int]]) -> None:
    async def run() -> None:
        chunks = [bytes([byte]) * size for size, byte in sizes]
        async with exposed() as (_, _, public):
            assert await exchange(public, chunks) == b"".join(chunks)

    asyncio.run(run())


async def test_a_hundred_connections_at_once() -> None:
    rng = random.Random(3)
    sent = [rng.randbytes(rng.randrange(200_000)) for _ in range(100)]
    async with exposed() as (_, _, public):
        got = await asyncio.gather(*(exchange(public, [each]) for each in sent))
        assert [hashlib.sha256(each).hexdigest() for each in got] == [hashlib.sha256(each).hexdigest() for each in sent]


async def test_a_reader_that_takes_nothing_stops_the_sender_and_nobody_else() -> None:
    sent, stopped = 0, asyncio.Event()

    async def source(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        if await reader.read(1) == b"e":
            await echo(reader, writer)
            return
        writer.transport.set_write_buffer_limits(high=1)
        for _ in range(4096):
            writer.write(bytes(65536))
            sent += 65536
            try:
                await asyncio.wait_for(writer.drain(), 1)
            except TimeoutError:
                stopped.set()
                await writer.drain()
        writer.close()

    async with exposed(source) as (_, _, public):
        slow = socket.create_connection(("127.0.0.1", public))
        slow.sendall(b"s")
        await asyncio.wait_for(stopped.wait(), 20)
        assert sent < 64 * 2**20  # of 256 MiB: the rest waits at its source
        assert (await exchange(public, [b"e", b"quick"])) == b"quick"
        slow.setblocking(False)
        loop, taken = asyncio.get_running_loop(), 0
        while data := await asyncio.wait_for(loop.sock_recv(slow, 1 << 20), 20):
            taken += len(data)
        assert taken == 4096 * 65536
        slow.close()


async def test_one_direction_may_end_before_the_other() -> None:
    async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(-1)  # to the end
        writer.write(f"{len(data)} bytes".encode())
        writer.close()

    async with exposed(counts) as (_, _, public):
        assert await exchange(public, [b"x" * 100_000]) == b"100000 bytes"


async def test_the_service_may_end_first() -> None:
    rest = asyncio.get_running_loop().create_future()

    async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.write_eof()
        rest.set_result(await reader.read(-1))
        writer.close()

    async with exposed(greets) as (_, _, public):
        reader, writer = await asyncio.open_connection("127.0.0.1", public)
        assert await reader.read(-1) == b"hello"
        writer.write(b"still here")
        writer.close()
        assert await asyncio.wait_for(rest, 20) == b"still here"


async def test_a_reset_arrives_as_a_reset() -> None:
    lost = asyncio.get_running_loop().create_future()

    async def reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(10)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            lost.set_result(error)
        writer.close()

    async with exposed(reads) as (_, _, public):
        plain = socket.create_connection(("127.0.0.1", public))
        plain.sendall(b"half")
        await asyncio.sleep(0)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain.close()
        assert isinstance(await asyncio.wait_for(lost, 20), ConnectionError | asyncio.IncompleteReadError)


async def test_a_service_that_resets() -> None:
    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        end = writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with exposed(resets) as (_, _, public):
        reader, writer = await asyncio.open_connection("127.0.0.1", public)
        writer.write(b"ping")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.close()


async def test_where_nothing_listens_the_connection_is_reset_and_the_report_says_so() -> None:
    changes = Changes()
    async with hub() as bed, board(changes) as services:
        async with service() as port:
            pass  # it is gone now
        public, token = await bed.server.open("b-1")
        await services.set({"s-1": bed.wanted(port, public, token)})
        await bed.changes.until(lambda: bed.server.alive(public))
        reader, writer = await asyncio.open_connection("127.0.0.1", public)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.close()
        assert services.status()["s-1"] == {
            "up": True,
            "message": f"the tunnel is open, but nothing answers on 127.0.0.1:{port}",
        }


async def test_what_is_idle_for_long_is_ended() -> None:
    async with exposed(limits=Limits(idle=0.1)) as (_, _, public):
        reader, writer = await asyncio.open_connection("127.0.0.1", public)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.close()


async def test_more_connections_than_allowed_are_reset() -> None:
    async with exposed(limits=Limits(connections=2)) as (_, _, public):
        held = [await asyncio.open_connection("127.0.0.1", public) for _ in range(2)]
        for reader, writer in held:
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
        reader, writer = await asyncio.open_connection("127.0.0.1", public)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 20)
        for _, each in [*held, (reader, writer)]:
            each.close()
