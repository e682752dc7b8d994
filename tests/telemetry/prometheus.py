"""A real Prometheus: of this machine, of the testbed's cache, or fetched into it."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import aiohttp
import pytest
import yaml

from continuo.resources.meta import Object
from continuo.testbed.build import build
from continuo.testbed.cache import Cache
from continuo.testbed.parts import Part
from continuo.testbed.progress import Outcome
from continuo.testbed.table import BY_NAME

PATIENCE = 60.0


class _Quiet:
    """Nobody watches it being fetched."""

    def waits(self, part: Part) -> None: ...

    def tries(self, part: Part, source: str) -> None: ...

    def says(self, part: Part, text: str, done: int, total: int) -> None: ...

    def ends(self, outcome: Outcome) -> None: ...


@functools.cache
def programs() -> Path | str:
    """The folder of `prometheus` and `promtool`, or why there is none."""
    cache, part = Cache(), BY_NAME["prometheus"]
    if cache.find(part) is None:
        (outcome,) = asyncio.run(build([part], cache, _Quiet()))
        if outcome.state == "missing":
            why = "; ".join(map(str, outcome.refusals))
            return f"no Prometheus can be had here, so no expression was tried: {why}"
    return cache.bin(part)


@pytest.fixture(scope="session")
def prometheus_folder() -> Path:
    found = programs()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def promtool(folder: Path, *arguments: str) -> str:
    """What it says; a failure fails the test."""
    done = subprocess.run([folder / "promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass
class Prometheus:
    """One that runs."""

    url: str
    http: aiohttp.ClientSession

    async def ask(self, path: str, **params: str) -> Any:
        async with self.http.get(f"{self.url}/api/v1/{path}", params=params) as answer:
            body = await answer.json()
        assert body["status"] == "success", f"{params}: {body.get('error')}"
        return body["data"]

    async def query(self, expr: str) -> list[Object]:
        """The series that an expression has now; fails where Prometheus does not understand it."""
        result: list[Object] = (await self.ask("query", query=expr))["result"]
        return result

    async def until(self, expr: str, what: str = "") -> list[Object]:
        """The same, as soon as there are some."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    if found := await self.query(expr):
                        return found
                    await asyncio.sleep(0.2)  # nothing tells when it has scraped
        except TimeoutError:
            raise AssertionError(f"{expr} never had a series {what}") from None

    async def exemplar(self, expr: str, **labels: str) -> None:
        """Wait until some series of the expression has an exemplar with those labels."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    now = time.time()
                    found = await self.ask("query_exemplars", query=expr, start=str(now - 3600), end=str(now + 60))
                    if any(each["labels"] == labels for series in found for each in series["exemplars"]):
                        return
                    await asyncio.sleep(0.2)  # nothing tells when it has scraped
        except TimeoutError:
            raise AssertionError(f"{expr} never had an exemplar {labels}") from None


@asynccontextmanager
async def running(programs: Path, home: Path, configuration: Object) -> AsyncIterator[Prometheus]:
    """Prometheus with that configuration, on a port of its own, until the block ends."""
    log = await asyncio.to_thread(_prepared, home, configuration)
    process = await asyncio.create_subprocess_exec(
        programs / "prometheus", f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'data'}",
        "--web.listen-address=127.0.0.1:0", "--enable-feature=exemplar-storage", "--log.format=json",
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as http:
            yield Prometheus(f"http://127.0.0.1:{await _port(process.pid, home / 'log')}", http)
    finally:
        process.terminate()
        await process.wait()
        log.close()


def _prepared(home: Path, configuration: Object) -> IO[bytes]:
    home.mkdir(parents=True, exist_ok=True)
    (home / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    return (home / "log").open("wb")


async def _port(pid: int, log: Path) -> int:
    """Prometheus does not say which free port it took; its sockets do."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if ports := await asyncio.to_thread(_ready, pid, log):
                return ports[0]
            await asyncio.sleep(0.05)


def _ready(pid: int, log: Path) -> Sequence[int]:
    return _listening(pid) if b"Server is ready" in log.read_bytes() else ()


def _listening(pid: int) -> Sequence[int]:
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        target = str(link.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in inodes]
