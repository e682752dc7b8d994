"""One run of a plugin: a confined process, what it says, and how it ended in a sentence."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from continuo.iot.agent.confinement import Cell, Confinement, Run, Starting
from continuo.iot.agent.confinement.cell import reader
from continuo.iot.agent.confinement.places import INSIDE
from continuo.iot.agent.plugins.logs import Tail, collect
from continuo.iot.agent.plugins.spec import Plugin

LONGEST = 1 << 20
"""Bytes of one thing that a plugin says."""
GRACE = 3.0
"""Seconds from being asked to end until being ended."""


class Failed(Exception):
    """The plugin did not do what was asked of it, in a sentence."""


class _Event(msgspec.Struct, frozen=True):
    event: str
    value: Any = None
    error: str = ""
    result: bool = False


class Process:
    """A plugin that runs. `result` is its first result, or raises Failed; `ended` says how it ended, None: by itself."""

    def __init__(self, run: Run, tail: Tail) -> None:
        loop = asyncio.get_running_loop()
        self.run = run
        self.tail = tail
        self.begun: asyncio.Future[None] = loop.create_future()
        self.result: asyncio.Future[Any] = loop.create_future()
        self.ended: asyncio.Future[str | None] = loop.create_future()
        self.stopping = False
        for future in (self.begun, self.result):
            future.add_done_callback(lambda done: done.cancelled() or done.exception())

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return not self.ended.done()

    async def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        self.stopping = True
        stdin = self.run.process.stdin
        if stdin is not None:
            with suppress(ConnectionError, RuntimeError):
                stdin.write(b'{"stop": true}\n')
        try:
            async with asyncio.timeout(GRACE):
                await asyncio.shield(self.ended)
        except TimeoutError:
            self.run.kill()
            await asyncio.shield(self.ended)

    async def follow(self, said: asyncio.StreamReader) -> None:
        """Take in what it says until it ends. What it says is a stranger's: its shape and size are checked."""
        output = self.run.process.stdout
        logs = asyncio.ensure_future(collect(output, self.tail)) if output is not None else None
        failed: str | None = None
        well = False
        try:
            while line := await said.readline():
                event = msgspec.json.decode(line, type=_Event)
                if event.event == "failed":
                    failed = failed or event.error[:4000]
                    self._result_failed(failed)
                well = well or event.event == "ended"
                self._take(event)
        except (ValueError, msgspec.DecodeError):
            failed = "it wrote to the agent what is no event, or too long a one"
            self.run.kill(failed)
        end = await self.run.wait()
        if logs is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await logs
        self.run.release()
        sentence = None if well and not failed else end.reason or failed or end.sentence()
        self._finish(sentence)

    def _take(self, event: _Event) -> None:
        if event.event == "started" and not self.begun.done():
            self.begun.set_result(None)
        elif event.event == "result" and not self.result.done():
            self.result.set_result(event.value)

    def _result_failed(self, sentence: str) -> None:
        for future in (self.begun, self.result):
            if not future.done():
                future.set_exception(Failed(sentence))

    def _finish(self, sentence: str | None) -> None:
        self._result_failed(f"no result: {sentence or 'it ended without one'}")
        if not self.ended.done():
            self.ended.set_result(sentence)


async def start(
    cell: Cell,
    uuid: str,
    plugin: Plugin,
    parameters: Mapping[str, Any] | None,
    how: Confinement,
    board: Mapping[str, Any],
) -> tuple[Process, asyncio.Task[None]]:
    """Start it; the process and the task that follows it. Raises Failed where it cannot be confined as it must."""
    reading, writing = os.pipe()
    try:
        run = await cell.start(
            [sys.executable, "-I", str(INSIDE / "runner.py"), str(writing)], how,
            keep=(writing,), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except Starting as error:
        os.close(reading)
        raise Failed(str(error)) from None
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    process = Process(run, Tail())
    told = {"uuid": uuid, "name": plugin.name, "code": plugin.code, "parameters": parameters, "board": board}
    assert run.process.stdin is not None
    run.process.stdin.write(msgspec.json.encode(told) + b"\n")
    return process, asyncio.get_running_loop().create_task(process.follow(await reader(reading, LONGEST)))
