"""One call of a plugin, or one for each board of a fleet: made at most once for each generation of its object.

At a hub of ours the call carries a key by which a repetition is the same call. OpenStack's IoTronic has no such thing:
there a call of which nobody saw the end is not repeated, and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from continuo.iot.provider.external import (
    Change,
    Creation,
    Managed,
    NotConnected,
    NotYet,
    Observation,
    Readiness,
    Reference,
)
from continuo.iot.provider.external import Unknown as NobodyKnows
from continuo.iot.provider.kinds.common import path, text
from continuo.iot.provider.kinds.reach import Target, each, targets
from continuo.iot.provider.marks import seconds, stamp
from continuo.iot.provider.world import Connection, Driver, World
from continuo.resources.boards import BOARD, FLEET, PLUGIN, PLUGIN_CALL, PluginCallObservation, PluginCallParameters
from continuo.resources.boards_plugins import CallResult
from continuo.resources.boards_types import MAX_LISTED

Call = Managed[PluginCallParameters]
SUCCESS, WARNING, ERROR, RUNNING, UNKNOWN = "SUCCESS", "WARNING", "ERROR", "RUNNING", "UNKNOWN"
_ORDER = (ERROR, UNKNOWN, RUNNING, WARNING, SUCCESS)
_LOST = "nobody saw how the call ended, and it is not made again: change the object to call anew"
_FAILED = "Error in the execution of"


class PluginCalls:
    """Calls at one endpoint."""

    def __init__(self, connection: Connection, world: World) -> None:
        self._connection, self._world, self._rest = connection, world, connection.rest

    async def observe(self, managed: Call) -> Observation:
        """How the call of this generation went, or goes."""
        if managed.deleting:
            return Observation(exists=False)
        generation, _, request = managed.external_name.partition(":")
        if managed.uncertain and not self._connection.ours:
            return self._told(managed, f"{managed.generation}:", UNKNOWN, _LOST, ())
        if generation != str(managed.generation):
            return Observation(exists=False, sure=True)
        if managed.status.get("finishedAt") and managed.status.get("generation") == managed.generation:
            return Observation(
                exists=True, readiness=_readiness(text(managed.status, "result"), text(managed.status, "message"))
            )
        if not request:
            return self._remembered(managed)
        return await self._asked(managed, request)

    async def create(self, managed: Call) -> Creation:
        """Call."""
        said = managed.parameters
        found = await targets(self._connection, said.board_id, said.fleet_id)
        if not found:
            raise NotYet("the fleet has no boards" if found is not None else "the board or the fleet does not exist")
        if not self._connection.ours:
            return await self._one_by_one(managed, found)
        where = ("boards", said.board_id) if said.board_id else ("fleets", said.fleet_id or "")
        key = f"{managed.uid}:{managed.generation}"
        answer = await self._rest.act("POST", path(*where, "plugins", said.plugin_id or ""), _body(said), key=key)
        if not answer.request:
            raise NobodyKnows(f"{self._rest.endpoint} did not tell which request it made of the call")
        return Creation(f"{managed.generation}:{answer.request}", subjects=frozenset({f"request:{answer.request}"}))

    async def update(self, managed: Call, seen: Observation) -> Change:  # noqa: ARG002
        """A call is not changed."""
        return Change()

    async def delete(self, managed: Call) -> None:
        """Nothing is left of a call."""

    async def _one_by_one(self, managed: Call, found: Sequence[Target]) -> Creation:
        """The endpoint answers with the result itself; it is remembered until it is in the status."""
        online = [target.uuid for target in found if target.online]
        if not online:
            raise NotConnected(f"no board is connected: {', '.join(target.name for target in found[:3])}")
        said = managed.parameters

        async def one(board: str) -> CallResult:
            try:
                answer = await self._rest.call(
                    "POST", path("boards", board, "plugins", said.plugin_id or ""), _body(said)
                )
            except NobodyKnows as error:
                known = _FAILED in str(error)
                return CallResult(board=board, result=ERROR if known else UNKNOWN, message=_short(str(error)))
            return CallResult(board=board, result=SUCCESS, message=_short(str(answer.body)))

        done = await each(online, one)
        errors = [error for error in done.values() if isinstance(error, Exception)]
        if len(errors) == len(done):
            raise errors[0]
        results = [
            result
            if isinstance(result, CallResult)
            else CallResult(board=board, result=ERROR, message=_short(str(result)))
            for board, result in done.items()
        ]
        results += [
            CallResult(board=target.uuid, result=ERROR, message="the board is not connected")
            for target in found
            if not target.online
        ]
        self._connection.memory[managed.uid] = (managed.generation, results)
        return Creation(f"{managed.generation}:")

    def _remembered(self, managed: Call) -> Observation:
        known = self._connection.memory.get(managed.uid)
        if isinstance(known, tuple) and known[0] == managed.generation and isinstance(known[1], list):
            return self._ended(managed, "", known[1])
        return self._told(managed, managed.external_name, UNKNOWN, _LOST, ())

    async def _asked(self, managed: Call, request: str) -> Observation:
        found = await self._rest.find(path("requests", request))
        if found is None:
            return self._told(
                managed, managed.external_name, UNKNOWN, "the endpoint no longer knows the request", (), request
            )
        rows = await self._rest.pages(path("requests", request, "results"), "results")
        results = [
            CallResult(board=text(row, "board_uuid"), result=text(row, "result"), message=_short(text(row, "message")))
            for row in rows
        ]
        if text(found, "status") != "PENDING":
            return self._ended(managed, request, results)
        return self._running(managed, request, results)

    def _running(self, managed: Call, request: str, results: Sequence[CallResult]) -> Observation:
        since = self._world.now() - self._begun(managed)
        left = managed.parameters.timeout - since
        if left <= 0:
            sentence = f"no answer within {managed.parameters.timeout} s"
            return self._told(managed, managed.external_name, ERROR, sentence, results, request)
        told = PluginCallObservation(
            generation=managed.generation, request_id=request, result=RUNNING, boards=tuple(results[:MAX_LISTED])
        )
        readiness = Readiness(False, "the call is under way", creating=True)
        return Observation(
            exists=True, readiness=readiness, at_provider=told, subjects=frozenset({f"request:{request}"}), again=left
        )

    def _begun(self, managed: Call) -> float:
        """When this process first saw this call under way."""
        known = self._connection.memory.get(managed.uid)
        if not (isinstance(known, tuple) and known[0] == managed.generation and isinstance(known[1], float)):
            known = self._connection.memory[managed.uid] = (managed.generation, self._world.now())
        begun: float = known[1]
        return begun

    def _ended(self, managed: Call, request: str, results: Sequence[CallResult]) -> Observation:
        count = Counter(result.result for result in results)
        worst = next((word for word in _ORDER if count[word]), UNKNOWN)
        message = (
            results[0].message
            if len(results) == 1
            else ", ".join(f"{count[word]} {word}" for word in _ORDER if count[word])
        )
        return self._told(managed, managed.external_name, worst, message, results, request)

    def _told(
        self, managed: Call, name: str, result: str, message: str, results: Sequence[CallResult], request: str = ""
    ) -> Observation:
        before = (
            seconds(text(managed.status, "finishedAt"))
            if managed.status.get("generation") == managed.generation
            else None
        )
        ordered = sorted(results, key=lambda one: (_ORDER.index(one.result) if one.result in _ORDER else 0, one.board))
        told = PluginCallObservation(
            generation=managed.generation, request_id=request, result=result, message=message,
            finished_at=stamp(before or self._world.now())[:19] + "Z",
            boards=tuple(ordered[:MAX_LISTED]) if len(ordered) > 1 else (),
        )  # fmt: skip
        return Observation(
            exists=True, readiness=_readiness(result, message), at_provider=told,
            external_name=name if name != managed.external_name else "",
        )  # fmt: skip


def _body(said: PluginCallParameters) -> Mapping[str, Any]:
    return {"action": "PluginCall", "parameters": dict(said.parameters)}


def _short(message: str) -> str:
    return message if len(message) <= 1024 else message[:1021] + "..."


def _readiness(result: str, message: str) -> Readiness:
    return Readiness(True) if result == SUCCESS else Readiness(False, f"{result}: {message}")


CALLS: Driver[PluginCallParameters] = Driver(
    PLUGIN_CALL,
    PluginCallParameters,
    PluginCalls,
    (Reference("board", BOARD), Reference("fleet", FLEET), Reference("plugin", PLUGIN)),
)
