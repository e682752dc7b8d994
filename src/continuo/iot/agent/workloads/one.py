"""One workload, from its record to its end: begins what is due, and writes down what it sees."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from continuo.iot.agent.confinement import Limits
from continuo.iot.agent.files import whole
from continuo.iot.agent.workloads import record as records
from continuo.iot.agent.workloads import results
from continuo.iot.agent.workloads.logs import Log
from continuo.iot.agent.workloads.record import Record, Store
from continuo.iot.agent.workloads.runtime import RESULTS, NotStarted, Running, Runtime, Task
from continuo.iot.agent.workloads.spec import Spec

log = logging.getLogger(__name__)

Done = TypeVar("Done")

AGAIN = 30.0
"""Seconds until what this board could not start, or could not write down, is tried again."""


@dataclass(slots=True)
class One:
    """Brings one workload to its end, until cancelled."""

    uuid: str
    spec: Spec
    limits: Limits
    folder: Path
    runtime: Runtime
    changed: Callable[[], None]
    now: Callable[[], float]
    """Seconds since 1970."""
    again: float = AGAIN
    record: Record = field(init=False)
    running: Running | None = None
    log: Log = field(init=False)

    def __post_init__(self) -> None:
        self.log = Log(self.folder)
        self.record = Record(generation=self.spec.generation)

    async def run(self) -> None:
        """Until it is final; what goes wrong with the disk or an engine is said, and tried again."""
        while True:
            try:
                await self._run()
                return
            except OSError as error:
                log.warning("workload %s: %s", self.uuid, error)
                self._say(records.not_begun(self.record, "Pending", f"the board cannot write: {error}"))
            except Exception as error:
                log.exception("workload %s failed", self.uuid)
                self._say(records.not_begun(self.record, "Pending", f"the agent failed: {type(error).__name__}"))
            await asyncio.sleep(self.again)

    async def stop(self) -> None:
        """End what runs."""
        if self.running is not None:
            await self.running.stop()
            self.running = None
        await self.runtime.clear(self.uuid)

    def _say(self, record: Record) -> None:
        if record != self.record:
            self.record = record
            self.changed()

    async def _write(self, record: Record) -> None:
        await whole(Store(self.folder / "record.json").write, record)
        self._say(record)

    async def _run(self) -> None:
        known = await whole(Store(self.folder / "record.json").read)
        if known is not None and known.generation == self.spec.generation:
            self._say(known)
        if self.record.open:
            await self._adopt()
        while not self.record.final:
            await asyncio.sleep(records.pause(self.record, self.now()))
            await self._once()

    async def _adopt(self) -> None:
        """A run of which the record says only that it was begun."""
        try:
            self.running = await self.runtime.adopt(self._task())
        except NotStarted:
            await self._write(records.not_begun(self.record, "Pending", ""))
            return
        if self.running is None:
            await self._write(records.lost(self.spec, self.record, self.now()))
        else:
            await self._to_end(self.running)

    async def _once(self) -> None:
        await whole(self._prepare)
        await self._write(records.begin(self.record, self.now()))
        try:
            self.running = await self.runtime.start(self._task())
        except NotStarted as error:
            await self._write(records.not_begun(self.record, error.phase, str(error)))
            await asyncio.sleep(self.again)
            return
        await self._to_end(self.running)

    async def _to_end(self, running: Running) -> None:
        self._say(records.running(self.record))
        end = await running.wait()
        self.running = None
        left_out = await whole(results.collect, self._work / RESULTS, self.folder / RESULTS)
        first = await whole(results.beginning, self.folder / RESULTS)
        sentence = "; ".join([end.sentence, *left_out])
        ended = records.end(self.spec, self.record, end.code, sentence, self.now(), first)
        await self._write(ended)
        if ended.final:
            await self.log.wake()
            await whole(shutil.rmtree, self._work, True)

    @property
    def _work(self) -> Path:
        return self.folder / "work"

    def _task(self) -> Task:
        return Task(self.uuid, self.spec, self.limits, self._work, self.log, max(self.record.begun, 1))

    def _prepare(self) -> None:
        """A fresh working folder. The program may write its results, and read its files."""
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(mode=0o700)
        for path, text in self.spec.files.items():
            file = self._work / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755 if text.startswith("#!") else 0o644)
        (self._work / RESULTS).mkdir()
        (self._work / RESULTS).chmod(0o777)  # the folder above lets in nobody but the program's user
