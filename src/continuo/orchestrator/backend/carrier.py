"""The backend's end: of what it would do itself it does what it is asked to, and nothing else.

A command that does not fit what is seen here may be ahead of our watches, so it waits for a moment; then it is answered with
`superseded`. Each command is answered once it is over, and only then is it off the topic.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from continuo.events.buffer import Buffer
from continuo.events.cloudevent import Event
from continuo.events.refused import Refused
from continuo.orchestrator.act import Attempts, act
from continuo.orchestrator.backend import messages
from continuo.orchestrator.backend.messages import Answer, Command, Unreadable
from continuo.orchestrator.executor import Ask, Round
from continuo.orchestrator.plan import Plan, Step, Write
from continuo.resources.meta import Key, Object

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for our watches to show what a command was decided on."""
TELL = 5.0
"""Seconds between two words about one step that goes on."""
_LONGEST = 2000


@dataclass(slots=True)
class _Taken:
    """One command on its way."""

    event: Event
    command: Command
    since: float
    over: asyncio.Future[tuple[str, str, tuple[str, ...]]]
    """Outcome, message and versions."""
    why: str = "its orchestration is not seen here"
    """Why it is not carried out yet."""
    sequence: int = 0
    told: float = field(default=float("-inf"))


class Carrier:
    """Carries out commands, within rounds that the backend's own loop makes."""

    def __init__(
        self,
        backend: str,
        out: Buffer,
        *,
        patience: float = PATIENCE,
        concurrency: int = 8,
        now: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.backend, self._out, self._patience, self._concurrency = backend, out, patience, concurrency
        self._now, self._clock = now or (lambda: asyncio.get_running_loop().time()), clock
        self._taken: dict[Key, dict[str, _Taken]] = {}
        self._ask: Ask = lambda _key, _seconds: None

    def attach(self, ask: Ask) -> None:
        self._ask = ask

    def forget(self, key: Key) -> None:
        """The orchestration is gone, or not here yet: its commands wait for their time."""

    def wanted(self, key: Key) -> bool:
        """Whether there is a command about this orchestration."""
        return bool(self._taken.get(key))

    async def take(self, event: Event) -> None:
        """Take a command, and return when it is over and answered. Raises Refused when it is none."""
        if messages.outcome_of(event) != messages.REQUESTED:
            return
        try:
            command = messages.read_command(event)
            messages.seconds(command.expires_at)
        except Unreadable as error:
            raise Refused(str(error)) from None
        taken = _Taken(event, command, self._now(), asyncio.get_running_loop().create_future())
        waiting = self._taken.setdefault(command.key, {})
        if (older := waiting.get(command.step)) is not None:
            _end(older, messages.SUPERSEDED, "it was asked for anew")
        waiting[command.step] = taken
        self._ask(command.key, 0.0)
        try:
            outcome, message, versions = await taken.over
        finally:
            self._drop(command, taken)
        await self._answered(taken, outcome, message, versions)

    def unseen(self, key: Key) -> float | None:
        """There is no such orchestration here; returns the seconds until that is told."""
        for taken in list(self._taken.get(key, {}).values()):
            self._lose_patience(taken)
        return self.next_look(key)

    def next_look(self, key: Key) -> float | None:
        """Seconds until the first command is answered with `superseded` if nothing changes."""
        times = [taken.since + self._patience for taken in self._taken.get(key, {}).values() if not taken.over.done()]
        return max(0.05, min(times) - self._now()) if times else None

    async def run(self, round_: Round) -> tuple[Step, ...]:
        """Carry out the commands that fit the plan; returns the steps that are done."""
        runnable = {step.id: step for step in round_.plan.runnable()}
        gate = asyncio.Semaphore(self._concurrency)
        running = []
        for taken in list(self._taken.get(round_.snapshot.key, {}).values()):
            step = runnable.get(taken.command.step)
            if taken.over.done():
                continue
            if self._fits(taken, step, round_) and step is not None:
                running.append(self._carry_out(taken, step, round_, gate))
            else:
                self._lose_patience(taken)
        done = await asyncio.gather(*running)
        return tuple(step for step in done if step is not None)

    def _fits(self, taken: _Taken, step: Step | None, round_: Round) -> bool:
        """Whether it is to be done now; says why not."""
        command, seen = taken.command, round_.snapshot.object["metadata"]
        generation = int(seen.get("generation") or 0)
        if self._clock() >= messages.seconds(command.expires_at):
            _end(taken, messages.SUPERSEDED, f"it came too late: it was void from {command.expires_at}")
        elif generation > command.generation and seen.get("uid") == command.uid:
            _end(taken, messages.SUPERSEDED, f"it is of generation {command.generation}, and {generation} is declared")
        elif seen.get("uid") != command.uid or generation < command.generation:
            taken.why = f"generation {command.generation} of its orchestration is not seen here"
        elif round_.snapshot.orchestration.spec.paused:
            taken.why = "its orchestration is paused"
        elif step is None:
            open_ = any(entry.id == command.step for entry in round_.plan.steps)
            taken.why = "it has to wait for others here" if open_ else "there is nothing left to do of it"
        elif messages.mark(step, round_.snapshot) != command.mark:
            taken.why = "it would write something else here: are operator and backend started with the same options?"
        else:
            return True
        return False

    def _lose_patience(self, taken: _Taken) -> None:
        if not taken.over.done() and self._now() >= taken.since + self._patience:
            _end(taken, messages.SUPERSEDED, taken.why)

    async def _carry_out(self, taken: _Taken, step: Step, round_: Round, gate: asyncio.Semaphore) -> Step | None:
        async with gate:
            self._tell(taken, messages.STARTED, of=len(step.writes))
            versions = dict.fromkeys(range(len(step.writes)), "")
            numbers = {id(write): number for number, write in enumerate(step.writes)}

            def learn(write: Write, answer: Object) -> None:
                versions[numbers[id(write)]] = str(answer["metadata"].get("resourceVersion") or "")
                round_.learn(write, answer)
                if self._now() - taken.told >= TELL:
                    self._tell(taken, messages.PROGRESS, numbers[id(write)] + 1, len(step.writes))

            attempts = Attempts()
            alone = Plan((replace(step, needs=()),))
            done = await act(alone, round_.clusters, attempts, learn, now=self._now, concurrency=1)
        if done:
            _end(taken, messages.SUCCEEDED, "", tuple(versions.values()))
            return step
        _end(taken, messages.FAILED, attempts.failures().get(step.id, ""))
        return None

    def _tell(self, taken: _Taken, outcome: str, done: int = 0, of: int = 0) -> None:
        """Say how far it is; where there is no room for it, it is left unsaid."""
        taken.told = self._now()
        self._out.offer(self._event(taken, outcome, self._answer(taken, done=done, of=of)))

    async def _answered(self, taken: _Taken, outcome: str, message: str, versions: tuple[str, ...]) -> None:
        """Say how it ended, and return when that is safe."""
        many = len(versions)
        answer = self._answer(taken, message=message[:_LONGEST], done=many, of=many, versions=versions)
        await self._out.keep(self._event(taken, outcome, answer))

    def _answer(self, taken: _Taken, **said: Any) -> Answer:
        command = taken.command
        return Answer(
            operator=command.operator, number=command.number, namespace=command.namespace, name=command.name,
            step=command.step, backend=self.backend, **said,
        )  # fmt: skip

    def _event(self, taken: _Taken, outcome: str, answer: Answer) -> Event:
        taken.sequence += 1
        return messages.answer_event(answer, outcome, taken.sequence, taken.event, messages.stamp(self._clock()))

    def _drop(self, command: Command, taken: _Taken) -> None:
        waiting = self._taken.get(command.key, {})
        if waiting.get(command.step) is taken:
            del waiting[command.step]
        if not waiting:
            self._taken.pop(command.key, None)


def _end(taken: _Taken, outcome: str, message: str, versions: tuple[str, ...] = ()) -> None:
    if not taken.over.done():
        taken.over.set_result((outcome, message, versions))
