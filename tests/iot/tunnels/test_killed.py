"""Ends that are killed, over TLS, as processes."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from continuo.iot.tunnels.wstun import reverse
from iot.tunnels.bed import Changes, board, hub, service
from iot.tunnels.certificates import Authority
from ports import free_ports

pytestmark = pytest.mark.anyio


HUB = """
import asyncio, ssl, sys
from continuo.iot.hub.tunnels import TunnelServer, serve
async def main():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(sys.argv[1])
    async with serve(TunnelServer([int(sys.argv[3])], public="127.0.0.1"), "127.0.0.1", int(sys.argv[2]), tls) as tunnels:
        print((await tunnels.open("b-1", int(sys.argv[3])))[1], flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    source = os.pathsep.join([str(Path(__file__).parents[3] / "src"), os.environ.get("PYTHONPATH", "")])
    made = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": source}
    )
    try:
        yield made
    finally:
        if made.returncode is None:
            made.kill()
        await made.wait()


async def test_a_hub_that_is_killed_and_comes_again(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    listen, public = free_ports(2)
    changes = Changes()
    async with service() as port, board(changes, tls=authority.trust()) as services:
        for _ in range(2):
            async with process("-c", HUB, str(authority.server), str(listen), str(public)) as server:
                assert server.stdout is not None
                token = (await asyncio.wait_for(server.stdout.readline(), 20)).decode().strip()
                wanted = {
                    "name": "s",
                    "port": port,
                    "public_port": public,
                    "url": f"wss://localhost:{listen}",
                    "token": token,
                }
                await services.set({"s-1": wanted})
                await changes.until(lambda: services.status()["s-1"]["up"])
                reader, writer = await asyncio.open_connection("127.0.0.1", public)
                writer.write(b"x" * 100_000)
                assert await asyncio.wait_for(reader.readexactly(100_000), 20)
                server.kill()
                with suppress(ConnectionResetError):  # the kernel says one or the other
                    assert await asyncio.wait_for(reader.read(-1), 20) == b""
                writer.close()
                await changes.until(lambda: not services.status()["s-1"]["up"])


async def test_a_board_that_is_killed_and_comes_again(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with hub(tls=authority.context(), scheme="wss", lightning_rod=True) as bed, service() as port:
        public, _ = await bed.server.open("b-1")
        arguments = [f"-r{public}:127.0.0.1:{port}", bed.url, "-u", "b-1", "--ca", str(authority.ca)]
        for end in (signal.SIGKILL, signal.SIGTERM):
            async with process("-m", "continuo.iot.tunnels.wstun", *arguments) as client:
                await bed.changes.until(lambda: bed.server.alive(public))
                reader, writer = await asyncio.open_connection("127.0.0.1", public)
                writer.write(b"x")
                assert await asyncio.wait_for(reader.readexactly(1), 20) == b"x"
                client.send_signal(end)
                with pytest.raises(ConnectionResetError):
                    await asyncio.wait_for(reader.readexactly(1), 20)
                writer.close()
                await bed.changes.until(lambda: not bed.server.alive(public))
                assert await client.wait() == (0 if end == signal.SIGTERM else -signal.SIGKILL)


async def test_a_hub_whose_certificate_nobody_vouches_for_is_told_nothing(tmp_path: Path) -> None:
    changes = Changes()
    async with (
        hub(tls=Authority(tmp_path).context(), scheme="wss") as bed,
        board(changes, tls=ssl.create_default_context()) as services,
    ):
        public, token = await bed.server.open("b-1")
        await services.set({"s-1": bed.wanted(1, public, token)})
        await changes.until(lambda: "certificate verify failed" in services.status()["s-1"]["message"])
        assert not bed.server.alive(public)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ws://localhost:1"], "the following arguments are required: -r/--reverse"),
        (["-r1", "ws://localhost:1"], "-r 1: it is PUBLIC:HOST:PORT, with ports from 1 to 65535"),
        (["-r1:localhost:70000", "ws://localhost:1"], "it is PUBLIC:HOST:PORT, with ports from 1 to 65535"),
        (
            ["-r1:localhost:22", "http://localhost:1"],
            "http://localhost:1: the server is ws://HOST:PORT or wss://HOST:PORT",
        ),
        (["-r1:localhost:22", "ws://localhost:1", "--ca", "/nowhere"], "/nowhere: no readable certificates"),
    ],
)
async def test_arguments_that_make_no_sense(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        reverse(arguments)
    assert sentence in capsys.readouterr().err
