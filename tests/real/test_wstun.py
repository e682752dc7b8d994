"""wstun itself, as npm installs it, against both of our ends. Where npm cannot install it, this says so."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from continuo.iot.agent.tunnels import FIRST
from continuo.iot.tunnels.client import NotOpen, Reverse
from iot.tunnels.bed import Changes, hub, service
from ports import free_ports
from real.conftest import asked_for

PACKAGE = "@mdslab/wstun"

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def wstun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program; skips where there is none."""
    asked_for()
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("there is no npm on this machine, which installs wstun")
    folder = tmp_path_factory.mktemp("wstun")
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    if done.returncode != 0:
        why = next((line for line in done.stderr.splitlines() if "error" in line), "it failed").strip()
        pytest.skip(f"npm cannot install {PACKAGE}: {why}")
    Path("/var/log/wstun").mkdir(parents=True, exist_ok=True)  # wstun ends where it is not there
    return folder / "node_modules" / ".bin" / "wstun"


@asynccontextmanager
async def running(program: Path, *arguments: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(str(program), *arguments)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def echoed(public: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", public)
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.readexactly(len(sent)), 30)
    finally:
        writer.close()


async def test_its_client_at_our_server(wstun: Path) -> None:
    async with hub(lightning_rod=True) as bed, service() as port:
        public, _ = await bed.server.open("b-1")
        async with running(wstun, f"-r{public}:127.0.0.1:{port}", bed.url, "-u", "b-1"):
            await bed.changes.until(lambda: bed.server.alive(public), 60)
            sent = bytes(range(256)) * 2000
            assert await asyncio.gather(*(echoed(public, sent) for _ in range(10))) == [sent] * 10


async def test_our_client_at_its_server(wstun: Path) -> None:
    listen, public = free_ports(2)
    changes, opened = Changes(), False

    def open_now() -> None:
        nonlocal opened
        opened = True
        changes()

    async with running(wstun, "-r", "-s", str(listen)), service() as port:
        tunnel = Reverse(f"ws://localhost:{listen}", public, ("127.0.0.1", port), board="b-1")

        async def keep() -> None:
            while True:
                try:
                    await tunnel.run(open_now)
                except NotOpen:
                    await asyncio.sleep(FIRST)

        keeping = asyncio.create_task(keep())
        await changes.until(lambda: opened, 60)
        sent = bytes(range(256)) * 2000
        assert await echoed(public, sent) == sent
        keeping.cancel()
