"""Placement as rounds ask for it: what takes long is computed in another process while the event loop goes on.

Meanwhile the world goes on too. So an answer is used only if the declaration and its Adjustment are the same as when it was
asked for, and if what it moves may still go there as things stand now; else the round looks again. At most as many rounds
wait for an answer as there are processes: others go on without one and are woken when it is their turn.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import replace

from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.loops.model import STAY, Found, Homes, Placer
from continuo.orchestrator.observe import Snapshot
from continuo.orchestrator.placing.choose import (
    Choice,
    Open,
    answered,
    asked,
    found_of,
    held,
    holds,
    open_parts,
    room_problem,
    whole_problem,
)
from continuo.orchestrator.placing.problem import grounds_of, part_id, path_of, problem_of
from continuo.orchestrator.remembered import Remembered
from continuo.orchestrator.settings import Settings
from continuo.placement.jobs import Place, Weigh, Weighed
from continuo.placement.model import Answer, Problem
from continuo.placement.placed import Placed
from continuo.placement.pool import Busy, Failed, Pool
from continuo.resources.meta import Key

log = logging.getLogger(__name__)
T = TypeVar("T")

Fresh = Callable[[], tuple[Snapshot, Assessment] | None]
"""The picture as it is now; none where the declaration is another one, or gone."""
TURN = datetime.timedelta(seconds=10)
"""Who waits for its turn looks again after so long at the latest."""
FIRST, LONGEST = 5.0, 300.0
"""Seconds after a placement that failed until it is tried again: twice as many each time, up to so many."""


class NotNow(Exception):
    """Nothing could be placed: others are being placed, or it failed lately. The sentence says which."""

    def __init__(self, message: str, again: datetime.datetime) -> None:
        super().__init__(message)
        self.again = again
        """When to look again at the latest."""


class Stale(Exception):
    """While something was placed the picture changed where it matters: look again."""


class Gone(Exception):
    """While something was placed the declaration became another one, or went."""


@dataclass(slots=True)
class _Failures:
    count: int
    again: datetime.datetime
    message: str


@dataclass(frozen=True, slots=True)
class _Rest:
    """An answer of which more is to be carried out than one decision may."""

    movable: frozenset[str]
    answer: Placed


@dataclass(frozen=True, slots=True)
class _About:
    """What somebody asks room for, as `Placer` says."""

    paths: tuple[str, ...]
    avoid: frozenset[str]
    homes: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Placing:
    """Asks for all orchestrations of one process."""

    pool: Pool
    wake: Callable[[Iterable[Key]], None] = lambda _: None
    _rest: dict[Key, _Rest] = field(default_factory=dict)
    _failures: dict[Key, _Failures] = field(default_factory=dict)
    _turns: dict[Key, None] = field(default_factory=dict)
    """Who waits for a process, the first first."""
    _wholes: Remembered[Problem] = field(default_factory=Remembered)
    _open: Remembered[Open] = field(default_factory=Remembered)

    async def choose(
        self, snapshot: Snapshot, assessment: Assessment, settings: Settings, now: datetime.datetime,
        first_seen: Mapping[str, datetime.datetime], fresh: Fresh,
    ) -> Choice:  # fmt: skip
        """Place what has to be placed.

        Raises:
            Stale, Gone: what was found counts no more.
        """
        key = snapshot.key
        rest = self._rest.pop(key, None)
        whole = self._whole(snapshot, assessment)
        found = self._open.of(key, (snapshot.orchestration.spec, whole), lambda: open_parts(snapshot, whole))
        question = asked(snapshot, assessment, settings, now, first_seen, whole, found)
        if isinstance(question, Choice):
            return question
        movable = question.problem.movable or frozenset()
        if rest is not None and movable <= rest.movable and holds(question.problem, rest.answer):
            answer, movable = rest.answer, rest.movable
            await asyncio.sleep(0)  # of very many, looking alone takes a while: others go in between
        else:
            try:
                answer = await self._run(key, Place(question.problem), now)
            except NotNow as hindered:
                return held(question, str(hindered), hindered.again)
            self._still(snapshot, question.problem, answer, fresh)
        choice = answered(snapshot, question, answer)
        if choice.rest:
            self._rest[key] = _Rest(movable, answer)
        return choice

    async def with_room(
        self, snapshot: Snapshot, assessment: Assessment, now: datetime.datetime, fresh: Fresh,
        say: Callable[[Placer], T],
    ) -> T:  # fmt: skip
        """What somebody says who asks for room; who asks for what takes long is asked again once that is known.

        Raises:
            Stale, Gone: what was found counts no more.
            NotNow: it was not found.
        """
        build = room_problem(snapshot, assessment)
        known: dict[_About, Found] = {}

        def find(paths: Iterable[str], avoid: frozenset[str], homes: Homes = STAY) -> Found:
            about = _About(tuple(paths), avoid, tuple(sorted(homes.items())))
            if about not in known:
                raise _Unknown(about)
            return known[about]

        while True:
            try:
                return say(find)
            except _Unknown as unknown:
                about = unknown.about
                problem = build(about.paths, about.avoid, dict(about.homes))
                answer = await self._run(snapshot.key, Place(problem, tell=False), now)
                parts = {part_id(snapshot.key, path) for path in about.paths}
                self._still(snapshot, problem, answer, fresh, about)
                known[about] = found_of(answer, parts)

    async def weighed(
        self, snapshot: Snapshot, assessment: Assessment, moves: Mapping[str, str], homes: Homes = STAY
    ) -> dict[str, object]:
        """What there was to weigh for components that somebody else moves to the clusters of `moves`; by component."""
        problem = whole_problem(snapshot, assessment, moves, homes)
        places = {part.id: part.current for part in problem.parts if part.current is not None}
        places |= {part_id(snapshot.key, path): cluster for path, cluster in moves.items()}
        parts = tuple(part_id(snapshot.key, path) for path in moves)
        try:
            found: Weighed = await self.pool.run(Weigh(problem, Answer(places=places), parts))
        except Failed as error:
            log.warning("%s/%s: a decision is not explained: %s", *snapshot.key, error)
            return {}
        return {path_of(part): told for part, told in found.told.explanations.items()}

    def forget(self, key: Key) -> None:
        """The orchestration is gone."""
        for kept in (self._rest, self._failures, self._turns):
            kept.pop(key, None)
        self._wholes.forget(key)
        self._open.forget(key)

    async def close(self) -> None:
        """End the processes."""
        await self.pool.close()

    def _whole(self, snapshot: Snapshot, assessment: Assessment) -> Problem:
        """The problem in which nothing may move, made once of the same."""
        spec, adjustment, figures = snapshot.orchestration.spec, snapshot.adjustment, assessment.figures
        grounds = grounds_of(snapshot, assessment)
        return self._wholes.of(
            snapshot.key, (spec, adjustment, grounds, figures),
            lambda: problem_of(snapshot.key, spec, adjustment, grounds, figures, movable=()),
        )  # fmt: skip

    async def _run(self, key: Key, job: Place, now: datetime.datetime) -> Placed:
        if (failed := self._failures.get(key)) is not None and failed.again > now:
            raise NotNow(failed.message, failed.again)
        try:
            answer: Placed = await self.pool.run(job, wait=False)
        except Busy:
            self._turns.setdefault(key)
            raise NotNow("other orchestrations are being placed: it waits for its turn", now + TURN) from None
        except Failed as error:
            raise self._failed(key, str(error), now) from error
        finally:
            if not self.pool.busy:
                self._next()
        self._turns.pop(key, None)
        self._failures.pop(key, None)
        return answer

    def _next(self) -> None:
        """A process is free: whoever waits longest may come."""
        if (first := next(iter(self._turns), None)) is not None:
            del self._turns[first]
            self.wake([first])

    def _still(
        self, snapshot: Snapshot, problem: Problem, answer: Placed, fresh: Fresh, about: _About | None = None
    ) -> None:
        """Raise unless the answer holds in the picture as it is now; at once nothing can have changed."""
        if self.pool.inline(Place(problem)):
            return
        now = fresh()
        if now is None:
            raise Gone
        if now[0].version != snapshot.version:
            raise Stale
        paths = [path_of(part) for part in problem.movable or ()]
        avoid, homes = (about.avoid, dict(about.homes)) if about is not None else (frozenset[str](), STAY)
        if not holds(replace(room_problem(*now)(paths, avoid, homes), movable=problem.movable), answer):
            raise Stale

    def _failed(self, key: Key, why: str, now: datetime.datetime) -> NotNow:
        count = self._failures[key].count + 1 if key in self._failures else 1
        again = now + datetime.timedelta(seconds=min(LONGEST, FIRST * 2 ** min(count - 1, 16)))
        message = f"it could not be placed: {why}; tried again at {again:%H:%M:%S} UTC"
        log.warning("%s/%s: %s", *key, message)
        self._failures[key] = _Failures(count, again, message)
        return NotNow(message, again)


class _Unknown(Exception):
    def __init__(self, about: _About) -> None:
        super().__init__(about)
        self.about = about
