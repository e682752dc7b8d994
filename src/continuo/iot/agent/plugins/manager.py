"""All plugins of a board: injected, started, stopped, called; kept on disk so that a restart finds them again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from continuo.iot.agent.confinement import Cell
from continuo.iot.agent.files import Store
from continuo.iot.agent.plugins import process, spec
from continuo.iot.agent.plugins.diff import Actual, Step, steps
from continuo.iot.agent.plugins.process import Failed, Process
from continuo.iot.agent.plugins.spec import NotAllowed, Plugin, Policy

log = logging.getLogger(__name__)

STARTED = 20.0
"""Seconds until a plugin has begun."""
CALLS = 8
"""Plugins that begin at a time; more wait."""
ENDING = 5.0
"""Seconds that a call waits for the end of the one before, which is answered already."""
FIRST, LONGEST = 1.0, 300.0
"""Seconds until a plugin that failed is started again."""


class Busy(Exception):
    """The plugin runs already."""


@dataclass(slots=True)
class _Held:
    """One plugin, and what became of it."""

    plugin: Plugin
    since: str
    process: Process | None = None
    calling: bool = False
    state: str = "injected"
    message: str = ""
    failures: int = 0
    again: asyncio.TimerHandle | None = None
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)


class Plugins:
    """What `Desire` and the RPCs of plugins act on. `changed` is called whenever what `status` says may have changed."""

    def __init__(
        self, cell: Cell, store: Store, changed: Callable[[], None], now: Callable[[], str], *,
        board: Callable[[], Mapping[str, Any]], most: Mapping[str, Any] | None = None, strict: bool = False,
    ) -> None:  # fmt: skip
        self.policy = Policy()
        self._cell, self._store, self._changed, self._now = cell, store, changed, now
        self._board, self._most, self._strict = board, dict(most or {}), strict
        self._held: dict[str, _Held] = {}
        self._refused: dict[str, tuple[str, str]] = {}
        """Why a plugin is not here, and since when."""
        self._lock = asyncio.Lock()
        self._slots = asyncio.Semaphore(CALLS)

    # Desired state

    async def restore(self) -> None:
        """After a restart, without the hub: what was there is there, and what runs on boot runs."""
        async with self._lock:
            for uuid, said in self._store.each("plugin-"):
                try:
                    self._held[uuid] = _Held(spec.read(uuid, said), self._now())
                except NotAllowed as refused:
                    log.warning("plugin %s is not restored: %s", uuid, refused)
            onboot = [(uuid, held) for uuid, held in self._held.items() if held.plugin.onboot]
            await asyncio.gather(
                *(self._do(Step("start", uuid)) for uuid, held in onboot if held.plugin.state == "running")
            )

    async def set(self, desired: Mapping[str, Any], policy: Policy) -> None:
        """Have exactly these plugins, in these states."""
        async with self._lock:
            self.policy = policy
            wanted: dict[str, Plugin] = {}
            before, self._refused = self._refused, {}
            for uuid, said in desired.items():
                try:
                    wanted[uuid] = spec.read(uuid, said)
                    spec.check(wanted[uuid], policy)
                except NotAllowed as refused:
                    wanted.pop(uuid, None)
                    since = before[uuid][1] if uuid in before and before[uuid][0] == str(refused) else self._now()
                    self._refused[uuid] = str(refused), since
            todo = steps(wanted, self._actual())
            for step in todo:
                if step.do != "start":
                    await self._do(step)
            await asyncio.gather(*(self._do(step) for step in todo if step.do == "start"))
        self._changed()

    def _actual(self) -> dict[str, Actual]:
        return {
            uuid: Actual(held.plugin, held.process is not None and held.process.alive, held.state in ("dead", "failed"))
            for uuid, held in self._held.items()
        }

    async def _do(self, step: Step) -> None:
        if step.do == "stop":
            await self._end(self._held[step.uuid])
        elif step.do == "remove":
            await self._forget(step.uuid)
        elif step.do == "inject" and step.plugin is not None:
            await self._keep(step.uuid, step.plugin)
        elif step.do == "start":
            async with self._slots:
                await self._try_start(step.uuid, self._held[step.uuid])

    # What the RPCs ask

    async def inject(self, uuid: str, plugin: Plugin) -> bool:
        """Have this plugin; whether it was there before. Raises NotAllowed."""
        async with self._lock:
            spec.check(plugin, self.policy)
            self._refused.pop(uuid, None)
            held = self._held.get(uuid)
            if held is not None:
                plugin = msgspec.structs.replace(plugin, state=held.plugin.state, parameters=held.plugin.parameters)
                again = held.process is not None and held.process.alive and not plugin.same_program(held.plugin)
                await self._keep(uuid, plugin)
                if again:
                    await self._end(held)
                    await self._try_start(uuid, held)
            else:
                await self._keep(uuid, plugin)
        self._changed()
        return held is not None

    async def remove(self, uuid: str) -> bool:
        """End and forget it; False where there was none."""
        async with self._lock:
            there = uuid in self._held
            self._refused.pop(uuid, None)
            await self._forget(uuid)
        self._changed()
        return there

    async def start(self, uuid: str, parameters: Mapping[str, Any] | None) -> None:
        """Let it run with these parameters; nothing where it does already. Raises Failed, NotAllowed, LookupError."""
        async with self._lock:
            held = self._one(uuid)
            told = dict(parameters) if parameters is not None else held.plugin.parameters
            if held.process is not None and held.process.alive:
                if told == held.plugin.parameters:
                    return
                await self._end(held)
            await self._keep(uuid, msgspec.structs.replace(held.plugin, state="running", parameters=told))
            held.failures = 0
            try:
                await self._start(uuid, held)
            except (Failed, NotAllowed) as error:
                self._failed(uuid, held, str(error), "refused" if isinstance(error, NotAllowed) else "failed", False)
                raise
            finally:
                self._changed()

    async def stop(self, uuid: str, delay: float = 0.0) -> bool:
        """Let it run no more; whether it did. Raises LookupError."""
        if delay > 0:
            await asyncio.sleep(min(delay, 60.0))
        async with self._lock:
            held = self._one(uuid)
            ran = held.process is not None and held.process.alive
            await self._keep(uuid, msgspec.structs.replace(held.plugin, state="injected"))
            await self._end(held)
            held.state, held.message = "injected", ""
        self._changed()
        return ran

    async def reboot(self, uuid: str, parameters: Mapping[str, Any] | None) -> None:
        """Stop it and start it anew. Raises as `start`."""
        async with self._lock:
            held = self._one(uuid)
            await self._end(held)
        await self.start(uuid, parameters)

    async def call(self, uuid: str, parameters: Mapping[str, Any] | None) -> Any:
        """Run it for its result. Raises Busy, Failed, NotAllowed, LookupError."""
        held = self._one(uuid)
        await self._answered(held)
        if held.calling or (held.process is not None and held.process.alive):
            raise Busy(f"plugin {held.plugin.name} runs already")
        spec.check(held.plugin, self.policy)
        how = spec.confinement(held.plugin, self.policy, self._most, self._strict, call=True)
        held.calling = True
        try:
            async with self._slots:
                ran, follow = await process.start(self._cell, uuid, held.plugin, parameters, how, self._board())
        except BaseException:
            held.calling = False
            raise
        held.process = ran
        held.tasks.add(follow)
        follow.add_done_callback(lambda task: self._called(held, ran, task))
        try:
            return await asyncio.shield(ran.result)
        except asyncio.CancelledError:
            ran.run.kill("nobody waits for it any more")
            raise
        except Failed as error:
            held.message = str(error)
            raise

    async def _answered(self, held: _Held) -> None:
        """Where the call before has its answer and only its process is ending, wait for that."""
        before = held.process
        if held.calling and before is not None and before.result.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(ENDING):
                    await asyncio.gather(*held.tasks, return_exceptions=True)

    def alive(self, uuid: str) -> bool:
        """Whether it runs now."""
        held = self._held.get(uuid)
        return held is not None and held.process is not None and held.process.alive

    def logs(self, uuid: str) -> str:
        """The end of what its last run printed. Raises LookupError."""
        held = self._one(uuid)
        return held.process.tail.text() if held.process else ""

    def status(self) -> dict[str, dict[str, Any]]:
        """What is reported of each."""
        said: dict[str, dict[str, Any]] = {}
        for uuid, held in self._held.items():
            state = "running" if self.alive(uuid) and not held.calling else held.state
            said[uuid] = {"state": state, "hash": held.plugin.hash, "message": held.message, "since": held.since}
        for uuid, (message, since) in self._refused.items():
            said[uuid] = {"state": "refused", "hash": "", "message": message, "since": since}
        return said

    async def close(self) -> None:
        """End all of them, and keep that they shall run."""
        async with self._lock:
            await asyncio.gather(*(self._end(held) for held in self._held.values()))

    # Runs

    def _one(self, uuid: str) -> _Held:
        held = self._held.get(uuid)
        if held is None:
            raise LookupError(f"there is no plugin {uuid} on this board")
        return held

    async def _keep(self, uuid: str, plugin: Plugin) -> None:
        await self._store.put(f"plugin-{uuid}", plugin)
        held = self._held.get(uuid)
        if held is None:
            self._held[uuid] = _Held(plugin, self._now())
        else:
            held.plugin = plugin

    async def _forget(self, uuid: str) -> None:
        held = self._held.pop(uuid, None)
        if held is not None:
            await self._end(held)
            self._store.drop(f"plugin-{uuid}")

    async def _end(self, held: _Held) -> None:
        if held.again is not None:
            held.again.cancel()
            held.again = None
        if held.process is not None and held.process.alive:
            await held.process.stop()

    async def _try_start(self, uuid: str, held: _Held) -> None:
        """Start it; why not is told by `status`, and a failure is tried again."""
        try:
            await self._start(uuid, held)
        except NotAllowed as refused:
            self._failed(uuid, held, str(refused), "refused", False)
        except Failed as failed:
            self._failed(uuid, held, str(failed), "failed", True)

    async def _start(self, uuid: str, held: _Held) -> None:
        plugin = held.plugin
        spec.check(plugin, self.policy)
        how = spec.confinement(plugin, self.policy, self._most, self._strict, call=False)
        ran, follow = await process.start(self._cell, uuid, plugin, plugin.parameters, how, self._board())
        held.process = ran
        held.tasks.add(follow)
        follow.add_done_callback(lambda task: self._ended(uuid, held, ran, task))
        try:
            async with asyncio.timeout(STARTED):
                await asyncio.shield(ran.begun)
        except TimeoutError:
            ran.stopping = True
            ran.run.kill("it did not begin")
            raise Failed(f"it did not begin within {STARTED:.0f} s") from None
        held.state, held.message, held.since = "running", "", self._now()

    def _called(self, held: _Held, ran: Process, task: asyncio.Task[Any]) -> None:
        held.tasks.discard(task)
        held.calling = False
        sentence = ran.ended.result() if ran.ended.done() else "it could not be followed"
        held.state, held.since = "injected" if sentence is None else "failed", self._now()
        held.message = "" if sentence is None else sentence
        self._changed()

    def _ended(self, uuid: str, held: _Held, ran: Process, task: asyncio.Task[Any]) -> None:
        held.tasks.discard(task)
        if held.process is not ran:
            return
        sentence = ran.ended.result() if ran.ended.done() else "it could not be followed"
        if ran.stopping:
            held.state, held.message = "injected", ""
        elif sentence is None:
            held.state, held.message = "dead", "it ended by itself"
        elif ran.begun.done() and not ran.begun.exception():
            self._failed(uuid, held, sentence, "failed", True)
        held.since = self._now()
        self._changed()

    def _failed(self, uuid: str, held: _Held, sentence: str, state: str, again: bool) -> None:
        """Say so, and try again later, less and less often."""
        held.state, held.message, held.since = state, sentence, self._now()
        if not again or held.plugin.state != "running" or self._held.get(uuid) is not held:
            return
        pause = min(LONGEST, FIRST * 2.0**held.failures)
        held.failures += 1
        held.message = f"{sentence}; it is started again in {pause:g} s"
        held.again = asyncio.get_running_loop().call_later(pause, self._once_more, uuid, held)

    def _once_more(self, uuid: str, held: _Held) -> None:
        task = asyncio.get_running_loop().create_task(self._restart(uuid, held))
        held.tasks.add(task)
        task.add_done_callback(held.tasks.discard)

    async def _restart(self, uuid: str, held: _Held) -> None:
        async with self._lock:
            held.again = None
            if self._held.get(uuid) is held and held.plugin.state == "running" and not self.alive(uuid):
                await self._try_start(uuid, held)
        self._changed()
