"""All workloads of a board: exactly those that are desired, each in its generation, whatever stopped in between."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from continuo.iot.agent.confinement import Limits
from continuo.iot.agent.workloads import results
from continuo.iot.agent.workloads.logs import Log, last_lines, whole_text
from continuo.iot.agent.workloads.one import AGAIN, One
from continuo.iot.agent.workloads.record import Record, Store
from continuo.iot.agent.workloads.runtime import RESULTS, Runtime
from continuo.iot.agent.workloads.spec import BadSpec, Spec, read
from continuo.iot.signing import RUNS

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

DEFAULT = Limits(memory=256 << 20, files=256 << 20, processes=128, open_files=1024)
FOLLOW = 25.0
"""Seconds that whoever follows a log waits for more."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


@dataclass(slots=True)
class _Has:
    wanted: Json
    one: One | None = None
    task: asyncio.Task[None] | None = None
    refused: str = ""


@dataclass(slots=True)
class Workloads:
    """Runs what is desired. `changed` is called whenever `status` may say something else."""

    changed: Callable[[], None]
    home: Path
    """Where records, logs and results are kept."""
    runtimes: Mapping[str, Runtime]
    """By name: process, container."""
    most: Callable[[], Json] = dict
    """The policy's limits for each."""
    allow: Callable[[Json], None] = lambda _: None
    """Raises ValueError, in a sentence, for a workload that the policy does not let run."""
    now: Callable[[], float] = time.time
    again: float = AGAIN
    _has: dict[str, _Has] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def set(self, desired: Mapping[str, Json]) -> None:
        """Have exactly these workloads: uuid -> as REST says, with `generation`.

        One whose generation is the same goes on as it is; another is ended and begun anew. What the policy allows no longer
        is ended and refused.
        """
        async with self._turn:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = {path.name for path in self.home.iterdir() if path.is_dir()}
            gone = [uuid for uuid in {*self._has, *kept} if uuid not in desired]
            anew = [uuid for uuid, has in self._has.items() if uuid in desired and self._differs(has, desired[uuid])]
            await asyncio.gather(*(self._end(uuid) for uuid in (*gone, *anew)))
            await asyncio.gather(*(self._forget(uuid) for uuid in gone))
            for uuid, wanted in desired.items():
                if uuid in self._has:
                    self._has[uuid].wanted = wanted
                else:
                    self._has[uuid] = await self._begin(uuid, wanted)
        self.changed()

    def _differs(self, has: _Has, wanted: Json) -> bool:
        """Whether what is there has to go; what was refused is looked at anew, since the policy may be another."""
        if has.one is None or any(has.wanted.get(name) != wanted.get(name) for name in ("generation", *RUNS)):
            return True
        return not has.one.record.final and self._forbidden(wanted) is not None

    def _forbidden(self, wanted: Json) -> str | None:
        try:
            self.allow(wanted)
        except ValueError as error:
            return str(error)
        return None

    async def _begin(self, uuid: str, wanted: Json) -> _Has:
        try:
            if not _NAME.fullmatch(uuid):
                raise BadSpec(f"{uuid[:80]!r} is no id of a workload")
            spec = read(wanted)
            limits = _limits(spec, self.most())
        except ValueError as error:
            return _Has(wanted, refused=str(error))
        folder = self.home / uuid
        record = Record(generation=spec.generation, runtime=spec.runtime)
        forbidden = self._forbidden(wanted)
        if forbidden is not None and not await asyncio.to_thread(self._finished, folder, record):
            await self._clear(uuid)
            return _Has(wanted, refused=forbidden)
        if not await asyncio.to_thread(self._same, folder, record):
            await self._clear(uuid)
            await asyncio.to_thread(self._fresh, folder, record)
        one = One(uuid, spec, limits, folder, self.runtimes[spec.runtime], self.changed, self.now, self.again)
        return _Has(wanted, one, asyncio.create_task(one.run(), name=f"workload {uuid}"))

    @staticmethod
    def _same(folder: Path, record: Record) -> bool:
        """Whether there is a record of this generation; of one that cannot be read nothing is known but that it was there."""
        store = Store(folder / "record.json")
        try:
            known = store.read()
        except ValueError as error:
            log.error("%s", error)
            store.write(msgspec.structs.replace(record, begun=1))
            return True
        return known is not None and known.generation == record.generation

    @staticmethod
    def _finished(folder: Path, record: Record) -> bool:
        """Whether nothing of this generation will run any more, so that its end and results may still be told."""
        try:
            known = Store(folder / "record.json").read()
        except ValueError:
            return False
        return known is not None and known.final and known.generation == record.generation

    @staticmethod
    def _fresh(folder: Path, record: Record) -> None:
        """What another generation left is removed before anything of this one is done."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        Store(folder / "record.json").write(record)

    async def _clear(self, uuid: str) -> None:
        """Nothing runs of a generation that is no more."""
        try:
            known = await asyncio.to_thread(Store(self.home / uuid / "record.json").read)
        except ValueError as error:
            log.error("%s", error)
            await asyncio.gather(*(runtime.clear(uuid) for runtime in self.runtimes.values()))
            return
        if known is not None and known.runtime in self.runtimes:
            await self.runtimes[known.runtime].clear(uuid)

    async def _forget(self, uuid: str) -> None:
        if _NAME.fullmatch(uuid):
            await self._clear(uuid)
        await asyncio.to_thread(shutil.rmtree, self.home / uuid, True)

    async def _end(self, uuid: str) -> None:
        has = self._has.pop(uuid, None)
        if has is None:
            return
        await _cancelled(has)
        if has.one is not None:
            await has.one.stop()

    def status(self) -> dict[str, dict[str, Any]]:
        """What the report says of each."""
        return {uuid: _said(has) for uuid, has in self._has.items()}

    async def logs(self, uuid: str, tail: int | None = None) -> str:
        """The last lines that it printed, or all that is kept. Raises LookupError."""
        return await asyncio.to_thread(self._log(uuid).tail, tail)

    async def follow(
        self, uuid: str, since: int | None, seconds: float = FOLLOW, tail: int | None = None
    ) -> dict[str, Any]:
        """What it printed from a place on (`text`), the place after it (`next`), and whether no more will come (`over`).

        Waits for more where there is none. Without a place: its last lines, at once. Raises LookupError.
        """
        has, its = self._known(uuid), self._log(uuid)

        def over() -> bool:
            return has.one is None or has.one.record.final

        if since is not None:
            await its.wait(since, seconds, over)
        ended = over()  # all of what it printed is in the log when its end is said
        start, data = await asyncio.to_thread(its.read, since or 0)
        text, taken = whole_text(data)
        return {"text": text if since is not None else last_lines(text, tail), "next": start + taken, "over": ended}

    async def results(self, uuid: str) -> dict[str, Any]:
        """What its last run left, by path, with its phase and exit code. Raises LookupError."""
        said = _said(self._known(uuid))
        found = await asyncio.to_thread(results.read, self.home / uuid / RESULTS)
        return {"files": found, "phase": said["phase"], "exitCode": said["exitCode"], "generation": said["generation"]}

    async def close(self) -> None:
        """End what this agent runs itself; containers go on, and are found again by the next agent."""
        async with self._turn:
            has, self._has = list(self._has.values()), {}
            await asyncio.gather(*(_cancelled(each) for each in has))
            process = [each.one for each in has if each.one is not None and each.one.spec.runtime == "process"]
            await asyncio.gather(*(one.stop() for one in process))

    def _known(self, uuid: str) -> _Has:
        if uuid not in self._has:
            raise LookupError(f"workload {uuid[:80]} is not on this board")
        return self._has[uuid]

    def _log(self, uuid: str) -> Log:
        one = self._known(uuid).one
        return one.log if one is not None else Log(self.home / "none")


async def _cancelled(has: _Has) -> None:
    if has.task is not None:
        has.task.cancel()
        with suppress(asyncio.CancelledError):
            await has.task


def _limits(spec: Spec, most: Json) -> Limits:
    asked = {"memory": spec.memory, "cpu": spec.cpu}
    return Limits.read({name: value for name, value in asked.items() if value is not None}, DEFAULT).within(most)


def _said(has: _Has) -> dict[str, Any]:
    generation = has.wanted.get("generation")
    if has.one is None:
        empty = {"exitCode": None, "restarts": 0, "started": None, "finished": None}
        return {"phase": "Refused", "generation": generation, "message": has.refused, **empty}
    record = has.one.record
    said = {
        "phase": record.phase,
        "generation": record.generation,
        "exitCode": record.exit_code,
        "restarts": max(record.begun - 1, 0),
        "message": record.message,
        "started": _time(record.started),
        "finished": _time(record.finished),
    }
    return {**said, "result": record.result} if record.result else said


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
