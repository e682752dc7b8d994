"""What waits for a place, with every cluster: how well it would be there, or why it cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import msgspec

from continuo.placement.explain import Candidate, candidate
from continuo.placement.guards import State
from continuo.placement.reasons import Cause
from continuo.placement.score import yardstick
from continuo.placement.tally import Tally
from continuo.resources.meta import Object
from continuo.server.scheduler.following import Infrastructure
from continuo.server.scheduler.items import PENDING
from continuo.server.scheduler.judging import Picture, picture

MOST = 64
"""Components that are told at once, the most urgent first."""
_FIELDS = ("id", "orchestration", "app", "component", "owner", "scheduler", "since", "decideBy", "message")


class PendingPlacements:
    """The answer, made once for each version of the state."""

    def __init__(self, infrastructure: Infrastructure) -> None:
        self._infrastructure = infrastructure
        self._made: tuple[str, int, bytes] | None = None
        self._lock = asyncio.Lock()

    async def told(self) -> bytes:
        """The answer as JSON. It is made in a thread, as verdicts are (see `judging`): it must not hold up others."""
        self._infrastructure.must_know()
        async with self._lock:
            version, decisions = self._infrastructure.log.current, self._infrastructure.decided
            if self._made is None or self._made[:2] != (version, decisions):
                waiting = sorted(self._infrastructure.log.items(PENDING), key=_urgency)
                names = {str(item["orchestration"]) for item in waiting[:MOST]}
                pictures = {name: seen for name in names if (seen := picture(self._infrastructure, name)) is not None}
                body = await asyncio.to_thread(_answer, version, waiting, pictures)
                self._made = (version, decisions, body)
            return self._made[2]


def _urgency(item: Object) -> tuple[str, str]:
    return str(item["decideBy"] or "~"), str(item["id"])


def _answer(version: str, waiting: list[Object], pictures: dict[str, Picture]) -> bytes:
    """With what was promised: room that somebody else will take is none."""
    states = {name: seen.state() for name, seen in sorted(pictures.items())}
    told = [entry for name, state in states.items() for entry in _entries(waiting[:MOST], name, state)]
    body = {"stateVersion": version, "total": len(waiting), "components": sorted(told, key=_urgency)}
    return msgspec.json.encode(body)


def _entries(waiting: Iterable[Object], name: str, state: State) -> Iterator[Object]:
    tally, stick = Tally(state.problem, state.places), yardstick(state.problem)
    for item in waiting:
        part = state.part(f"{item['app']}/{item['component']}")
        if item["orchestration"] != name or part not in tally.parts or part in tally.places:
            continue
        found = sorted((candidate(tally, stick, part, site) for site in tally.sites), key=_best_first)
        yield {field: item[field] for field in _FIELDS} | {"candidates": [_candidate(each) for each in found]}


def _best_first(found: Candidate) -> tuple[bool, float, str]:
    return found.score is None, found.score or 0.0, found.site


def _candidate(found: Candidate) -> Object:
    told = found.refusals[:1] if found.refusals and found.refusals[0].cause is Cause.UNAVAILABLE else found.refusals
    refusals = [{"cause": refusal.cause.value, "message": refusal.message} for refusal in told]
    objectives = msgspec.to_builtins(found.objectives) if found.objectives is not None else None
    return {"cluster": found.site, "score": found.score, "objectives": objectives, "refusals": refusals}
