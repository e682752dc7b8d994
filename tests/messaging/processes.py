"""Operators and backends as processes that are killed at random moments, and what they work on."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer

from chaos.victims import Witness
from continuo.cli.host import Host
from continuo.embedded.standins.settings import Settings
from continuo.events.kafka_settings import KafkaSettings
from continuo.resources import kinds
from scenarios.beds import Bed

SHORTEST = 12
"""Characters of a Secret's value that is looked for: shorter ones, such as names, may stand anywhere."""


class Nursery:
    """Starts processes in milliseconds, and buries them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self._one = process, asyncio.Lock()

    @classmethod
    async def open(cls) -> Nursery:
        pipe, program = asyncio.subprocess.PIPE, str(Path(__file__).with_name("nursery.py"))
        return cls(await asyncio.create_subprocess_exec(sys.executable, program, stdin=pipe, stdout=pipe))

    async def ask(self, *words: object) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        async with self._one:
            self._process.stdin.write(json.dumps(words).encode() + b"\n")
            await self._process.stdin.drain()
            return int(await self._process.stdout.readline())

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


class Life:
    """One command that lives again and again; each life but the last ends after a random number of changes."""

    def __init__(self, nursery: Nursery, command: str, arguments: list[str], log: Path, rng: random.Random) -> None:
        self._nursery, self.command, self._arguments, self.log, self._rng = nursery, command, arguments, log, rng
        self.kills = self.left = self.pid = 0
        self.may_die = 0
        """So many lives are taken yet."""
        self._lives = asyncio.Event()

    async def start(self) -> None:
        self.left = self._rng.randint(1, 25)
        self.pid = await self._nursery.ask("live", self.command, self._arguments, str(self.log))
        self._lives.set()

    def saw(self) -> None:
        """Something changed: perhaps the last thing that it lived to see."""
        if self.pid and self.may_die > 0:
            self.left -= 1
            if self.left <= 0:
                self.may_die -= 1
                self.kills += 1
                os.kill(self.pid, signal.SIGKILL)
                asyncio.get_running_loop().create_task(self._again(self.pid))
                self.pid = 0
                self._lives.clear()

    async def _again(self, pid: int) -> None:
        await self._nursery.ask("bury", pid)
        await self.start()

    async def end(self) -> None:
        self.may_die = 0
        await self._lives.wait()
        os.kill(self.pid, signal.SIGKILL)
        code = await self._nursery.ask("bury", self.pid)
        assert code == -signal.SIGKILL, f"{self.command} ended by itself: {self.tail()}"

    def tail(self) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])


@dataclass
class World:
    """An engine without an operator, a witness, and the processes that work on it."""

    bed: Bed
    witness: Witness
    lives: list[Life]

    async def secrets(self) -> set[bytes]:
        """Every value of every Secret of every cluster, in both of its forms."""
        found: set[bytes] = set()
        for api in self.bed.host.engine.clusters():
            for secret in api.list(kinds.SECRET):
                for value in (secret.get("data") or {}).values():
                    plain = base64.b64decode(value)
                    found |= {form for form in (plain, value.encode()) if len(form) >= SHORTEST}
        return found


@asynccontextmanager
async def world(
    folder: Path, settings: KafkaSettings, commands: list[str], seed: int, more: list[str] | None = None
) -> AsyncIterator[World]:
    """All of it, started."""
    host = Host(None, standins=Settings(speed=10.0), seed=seed)
    await host.start()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(host.engine.kubeconfig("management"), encoding="utf-8")
    bed, witness, nursery, rng = Bed(host), Witness(host), await Nursery.open(), random.Random(seed)
    kafka = [
        "--kafka",
        settings.brokers[0],
        "--kafka-prefix",
        settings.topics.prefix,
        "--kafka-session",
        "1",
        "--kafka-timeout",
        "2",
    ]
    options = {"operator": ["--tasks", "kafka"], "backend": []}
    lives = [
        Life(
            nursery, command, ["--kubeconfig", str(kubeconfig), *kafka, *options[command], *(more or [])],
            folder / f"{command}{number}.log", rng,
        )
        for number, command in enumerate(commands)
    ]  # fmt: skip

    def changed(_by_the_operator: bool) -> None:
        for life in lives:
            life.saw()

    witness.on_change = changed
    await bed.credentials()
    try:
        for life in lives:
            await life.start()
        yield World(bed, witness, lives)
    finally:
        for life in lives:
            await life.end()
        await nursery.close()
        await bed.close()
        await host.stop()


async def all_bytes(settings: KafkaSettings) -> tuple[int, bytes]:
    """How many messages there are on all topics, and all that is in them."""
    topics = list(settings.topics.configs())
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=settings.brokers[0], auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        parts: list[bytes] = []
        count = 0
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    count += 1
                    headers = [part for name, value in record.headers for part in (name.encode(), value)]
                    parts += [record.key or b"", record.value or b"", *headers]
        return count, b"\0".join(parts)
    finally:
        await consumer.stop()
