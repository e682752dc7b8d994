"""The operator's end: steps are asked for on a topic, and what came of them is learned from another.

What is under way is remembered with a deadline, and only there: after a restart every open step is asked for again, and a
backend that sees it done says so. What a backend wrote comes through the operator's own watches, as all changes do.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from continuo.events.buffer import Buffer
from continuo.events.cloudevent import Event
from continuo.orchestrator.act import Attempts
from continuo.orchestrator.backend import messages
from continuo.orchestrator.backend.messages import Answer, Command, Unreadable
from continuo.orchestrator.executor import Ask, Round
from continuo.orchestrator.plan import Step
from continuo.resources.meta import Key
from continuo.telemetry import tracing

log = logging.getLogger(__name__)

WITHIN = 60.0
"""Seconds in which a backend has to begin, or to say that it is still at it."""
SETTLE = 10.0
"""Seconds for what was written to come back through the watches before the step is asked for again."""
DISAGREEMENTS = 3
"""So many refusals of one step in a row are told as a failure."""
AGAIN = 0.2


@dataclass(slots=True)
class _Asked:
    """One step that somebody was asked for."""

    step: Step
    command: Command
    attempts: Attempts
    until: float
    versions: tuple[str, ...] | None = None
    """Set once it was done."""
    heard: bool = False
    """Whether any backend has it."""
    stuck: bool = False
    """Whether it is told as a failure that the topic does not take it."""


class Remote:
    """Hands steps to backends."""

    def __init__(
        self,
        operator: str,
        out: Buffer,
        *,
        within: float = WITHIN,
        settle: float = SETTLE,
        now: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.operator, self._out, self._within, self._settle = operator, out, within, settle
        self._now, self._clock = now or (lambda: asyncio.get_running_loop().time()), clock
        self._asked: dict[Key, dict[str, _Asked]] = {}
        self._refused: dict[tuple[Key, str], int] = {}
        self._number = 0
        self._ask: Ask = lambda _key, _seconds: None
        self.listening: Callable[[], bool] = lambda: True
        """Whether answers are being read; nothing is asked for as long as they are not."""

    def attach(self, ask: Ask) -> None:
        """`ask` has an orchestration looked at again after some seconds; a negative number: and forgives failures."""
        self._ask = ask
        self._out.on_change = self._topic_changed

    def _topic_changed(self) -> None:
        """The topic is away, which every status that waits for it has to say; or it is back, and nothing need wait."""
        back = not self._out.trouble
        for key, asked in self._asked.items():
            for entry in asked.values():
                if back and entry.stuck:
                    entry.stuck = False
                    entry.attempts.worked(entry.step)
            self._ask(key, -1.0 if back else 0.0)

    def forget(self, key: Key) -> None:
        for step in self._asked.pop(key, {}):
            self._refused.pop((key, step), None)

    async def run(self, round_: Round) -> tuple[Step, ...]:
        """Ask for what can be run and is not under way; returns nothing, for nothing is done yet."""
        key, now = round_.snapshot.key, self._now()
        round_.attempts.keep_only(round_.plan)
        asked = self._asked.setdefault(key, {})
        self._forget_what_is_over(key, asked, round_)
        if not self.listening():
            self._ask(key, 1.0)
            return ()
        for step in round_.plan.runnable():
            if round_.attempts.may_run(step, now) and self._is_free(key, asked, step, round_, now):
                self._request(asked, step, round_, now)
        if asked:
            self._ask(key, max(AGAIN, min(entry.until for entry in asked.values()) - now))
        return ()

    def _forget_what_is_over(self, key: Key, asked: dict[str, _Asked], round_: Round) -> None:
        """A step that is no longer planned is over, whoever did it."""
        planned = {step.id for step in round_.plan.steps}
        for step in [step for step in asked if step not in planned]:
            del asked[step]
            self._refused.pop((key, step), None)

    def _is_free(self, key: Key, asked: dict[str, _Asked], step: Step, round_: Round, now: float) -> bool:
        """Whether a step is to be asked for now: it is not under way, or in another form, or nobody answered."""
        entry = asked.get(step.id)
        if entry is None:
            return True
        if entry.command.mark != messages.mark(step, round_.snapshot):
            return True
        if entry.versions is not None:
            return self._is_settled(asked, entry, round_, now)
        if now < entry.until:
            self._say_if_stuck(entry, round_, now)
            return False
        del asked[step.id]
        trouble = f"; {self._out.trouble}" if self._out.trouble else ": is `continuo backend` running?"
        round_.attempts.failed(step, f"no backend answered within {self._within:g} s{trouble}", now)
        self._ask(key, AGAIN)
        return False

    def _say_if_stuck(self, entry: _Asked, round_: Round, now: float) -> None:
        if self._out.trouble and not entry.heard and not entry.stuck:
            entry.stuck = True
            round_.attempts.failed(entry.step, f"it waits to be handed to a backend: {self._out.trouble}", now)
            self._ask(round_.snapshot.key, AGAIN)

    def _is_settled(self, asked: dict[str, _Asked], entry: _Asked, round_: Round, now: float) -> bool:
        """It was done, and is planned still: because the watches are behind, or because it is not kept as declared."""
        caught_up = True
        for write, version in zip(entry.step.writes, entry.versions or (), strict=False):
            live = round_.live(write) if version else None
            if version and live is not None and not _behind(live["metadata"].get("resourceVersion"), version):
                round_.learn(write, live)
            elif version:
                caught_up = False
        if not caught_up and now < entry.until:
            return False
        del asked[entry.step.id]
        self._ask(round_.snapshot.key, AGAIN)  # what was learned just now may be all that there was
        return False

    def _request(self, asked: dict[str, _Asked], step: Step, round_: Round, now: float) -> None:
        if self._out.trouble:
            round_.attempts.failed(step, f"it cannot be handed to a backend: {self._out.trouble}", now)
            return
        said, orchestration = self._clock(), round_.snapshot.object["metadata"]
        self._number += 1
        command = Command(
            operator=self.operator, number=self._number, namespace=round_.snapshot.key[0],
            name=round_.snapshot.key[1], uid=str(orchestration.get("uid")),
            generation=int(orchestration.get("generation") or 0), step=step.id,
            mark=messages.mark(step, round_.snapshot), decided_at=messages.stamp(said),
            expires_at=messages.stamp(said + self._within),
        )  # fmt: skip
        if self._out.offer(messages.command_event(command, step, tracing.traceparent())) is None:
            round_.attempts.failed(step, "it cannot be handed to a backend: too much waits to be told already", now)
            return
        asked[step.id] = _Asked(step, command, round_.attempts, now + self._within)

    async def take(self, event: Event) -> None:
        """Hear what a backend says; of others' commands, and of old ones, nothing is to be learned."""
        outcome = messages.outcome_of(event)
        if outcome is None or outcome == messages.REQUESTED:
            return
        try:
            answer = messages.read_answer(event)
        except Unreadable as error:
            log.warning("an answer on the topic of tasks cannot be read: %s", error)
            return
        key = (answer.namespace, answer.name)
        entry = self._asked.get(key, {}).get(answer.step)
        ours = entry is not None and (answer.operator, answer.number) == (self.operator, entry.command.number)
        if entry is not None and ours:
            self._hear(key, entry, outcome, answer)

    def _hear(self, key: Key, entry: _Asked, outcome: str, answer: Answer) -> None:
        now, entry.heard = self._now(), True
        if outcome in (messages.STARTED, messages.PROGRESS):
            entry.until = now + self._within
            return
        step = entry.step.id
        if outcome == messages.SUCCEEDED:
            entry.attempts.worked(entry.step)
            entry.versions, entry.until = answer.versions, now + self._settle
            self._refused.pop((key, step), None)
            self._ask(key, 0.0)
            return
        del self._asked[key][step]
        if outcome == messages.FAILED:
            entry.attempts.failed(entry.step, answer.message, now)
            self._ask(key, 0.0)
            return
        refusals = self._refused[(key, step)] = self._refused.get((key, step), 0) + 1
        if refusals >= DISAGREEMENTS:
            entry.attempts.failed(entry.step, f"{answer.backend} does not carry it out: {answer.message}", now)
        self._ask(key, AGAIN * refusals)


def _behind(version: object, answered: str) -> bool:
    """Whether a cached version is surely older than the one that a server answered."""
    return str(version).isdecimal() and answered.isdecimal() and int(str(version)) < int(answered)
