"""The exact solver beside the rounds: what was placed at once may be placed better a little later, where that pays.

So may what runs, once its declaration is another one or there is a cluster more to choose from; what a loop moved is left to
that loop, and everything to an external scheduler where there is one. A solve takes seconds, so it is a task of its own; what
it says counts only while nothing was decided since it began. A move costs what `weights.moves` says, so an answer that moves
something is better by more than that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.effective import default_place
from continuo.orchestrator.observe import Snapshot
from continuo.orchestrator.placing.choose import decision_of, whole_problem
from continuo.orchestrator.placing.problem import grounds_of
from continuo.placement.jobs import Weigh, Weighed
from continuo.placement.model import Answer, Method, Problem, moved
from continuo.placement.pool import Failed, Pool, done
from continuo.resources.loop import MAX_ACTIONS, DecisionSpec
from continuo.resources.meta import Key
from continuo.resources.orchestration import PlacementSpec
from continuo.resources.orchestration_policies import Scheduler

log = logging.getLogger(__name__)

Solve = Callable[[Problem], Awaitable[Answer]]
PAYS = 1e-6
"""So much lower, of what it is, an objective has to be."""


def exactly(pool: Pool | None) -> Solve:
    """Asks for the exact solver's answer, or the heuristic's where none was found in time."""

    async def ask(problem: Problem) -> Answer:
        from continuo.placement.exact import solve

        return await solve(problem, pool=pool)

    return ask


@dataclass(slots=True)
class _Solved:
    version: str
    problem: Problem
    answer: Answer
    weighed: Weighed


@dataclass(slots=True)
class Improver:
    """At most one solve at a time for each orchestration."""

    wake: Callable[[Iterable[Key]], None]
    solve: Solve = field(default_factory=lambda: exactly(None))
    pool: Pool | None = None
    """Where what is decided is explained; none: in a thread."""
    _fresh: dict[Key, set[str]] = field(default_factory=dict)
    """Components that were placed since the last solve began."""
    _grounds: dict[Key, tuple[int, frozenset[str]]] = field(default_factory=dict)
    """What was looked at: the declaration's generation, and the clusters that could take something at one time since."""
    _tasks: dict[Key, asyncio.Task[None]] = field(default_factory=dict)
    _solved: dict[Key, _Solved] = field(default_factory=dict)

    def placed(self, key: Key, components: Iterable[str]) -> None:
        """The heuristic placed these: they may be looked at again."""
        self._fresh.setdefault(key, set()).update(components)

    def look(self, snapshot: Snapshot, assessment: Assessment, version: str) -> DecisionSpec | None:
        """What is better than what is, as of that version of the Adjustment; else begin to look for it."""
        key, within = snapshot.key, (snapshot.declared.placement or PlacementSpec()).exact_within
        solved = self._solved.pop(key, None)
        if solved is not None and solved.version == version:
            return _better(snapshot, solved)
        if within:
            self._note(snapshot, assessment)
        fresh = self._fresh.get(key)
        if within and fresh and key not in self._tasks and not snapshot.declared.paused:
            del self._fresh[key]
            problem = whole_problem(snapshot, assessment, sorted(fresh))
            problem = replace(problem, improve=True, exact_within=float(within))
            task = asyncio.create_task(self._run(key, version, problem), name=f"solve {key[1]}")
            self._tasks[key] = task
        return None

    def _note(self, snapshot: Snapshot, assessment: Assessment) -> None:
        """On other ground than before, what runs may have a better place."""
        generation = snapshot.object["metadata"].get("generation", 0)
        takes = frozenset(name for name, ground in grounds_of(snapshot, assessment).items() if not ground.reason)
        before, known = self._grounds.get(snapshot.key, (None, frozenset[str]()))
        if before != generation:
            known = frozenset()
        if not takes <= known:
            self._grounds[snapshot.key] = (generation, takes | known)
            if free := _free(snapshot):
                self.placed(snapshot.key, free)

    async def _run(self, key: Key, version: str, problem: Problem) -> None:
        try:
            answer = await self.solve(problem)
            weighed: Weighed = await done(Weigh(problem, answer, tuple(moved(problem, answer))), self.pool)
        except Failed as error:  # the places that there are hold without it
            log.warning("%s/%s: no better places were looked for: %s", *key, error)
            return
        except Exception:  # the places that there are hold without it
            log.exception("%s/%s: the exact solver failed", *key)
            return
        finally:
            self._tasks.pop(key, None)
        log.info("%s/%s: %s answer, %s", *key, answer.method, answer.note or f"objective {answer.objective:.6g}")
        self._solved[key] = _Solved(version, problem, answer, weighed)
        self.wake([key])

    def forget(self, key: Key) -> None:
        """The orchestration is gone."""
        self._fresh.pop(key, None)
        self._grounds.pop(key, None)
        self._solved.pop(key, None)
        if (task := self._tasks.pop(key, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Stop solving."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _free(snapshot: Snapshot) -> list[str]:
    """Components that have a place which we may change."""
    spec = snapshot.orchestration.spec
    if (snapshot.declared.placement or PlacementSpec()).scheduler is Scheduler.EXTERNAL:
        return []
    clusters = {cluster.name: cluster for cluster in spec.clusters}
    looped = {entry.component for entry in snapshot.adjustment.places if entry.policy is not None or entry.home}
    components = [(f"{app.name}/{each.name}", app, each) for app in spec.apps for each in app.components]
    return [
        path for path, app, each in components
        if each.placement is not None and path not in looped and default_place(app, each, clusters) is not None
    ]  # fmt: skip


def _better(snapshot: Snapshot, solved: _Solved) -> DecisionSpec | None:
    """A decision to move what pays; None where nothing does, or where it takes more moves than one decision can hold."""
    problem, answer = solved.problem, solved.answer
    moves = {part: to for part, (_, to) in moved(problem, answer).items()}
    before, after = solved.weighed.before, solved.weighed.after
    placed = sum(1 for part in problem.parts if part.current is not None)
    if not moves or len(moves) > MAX_ACTIONS or len(answer.places) < placed or after > before - PAYS * abs(before):
        return None
    gap = f", at most {answer.gap:.1%} from the best" if answer.gap is not None else ""
    who = "the exact solver" if answer.method is Method.EXACT else "a second look"
    why = f"; {who}'s objective is {after:.4g} and was {before:.4g}{gap}"
    return decision_of(snapshot, problem, moves, solved.weighed.told, why)
