"""Plugins on boards: injected, kept at the code that the plugin has now, running or not as declared; one board or a fleet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from continuo.iot.provider.external import (
    Absent,
    Change,
    Creation,
    Managed,
    Neighbours,
    NotConnected,
    NotYet,
    Observation,
    Reference,
    Refused,
    Unknown,
)
from continuo.iot.provider.injections import FEW
from continuo.iot.provider.kinds.common import path, text
from continuo.iot.provider.kinds.injecting import Seen, Wanted, judge, observed, readiness
from continuo.iot.provider.kinds.plugin import read_code
from continuo.iot.provider.kinds.reach import Target, each, targets
from continuo.iot.provider.references import external_name, for_provider
from continuo.iot.provider.world import Connection, Driver, World
from continuo.iot.signing import code_hash
from continuo.resources.boards import BOARD, FLEET, PLUGIN, PLUGIN_INJECTION, PluginInjectionParameters
from continuo.resources.boards_plugins import RunState
from continuo.resources.meta import Key, Kind, Object, key_of

Injection = Managed[PluginInjectionParameters]
PATIENCE = 120.0
"""Seconds for which a request that was made counts as under way."""


@dataclass
class Asked:
    """What this process asked for an injection, which the endpoint does not show yet. Forgotten with the process."""

    hashes: dict[str, str] = field(default_factory=dict)
    """Board -> the hash of the code that it got, where the endpoint does not tell."""
    boards: set[str] = field(default_factory=set)
    """Boards that got it."""
    request: str = ""
    at: float = 0.0


class PluginInjections:
    """Injections at one endpoint."""

    def __init__(self, connection: Connection, world: World) -> None:
        self._connection, self._world = connection, world
        self._rest, self._rows = connection.rest, connection.injections

    async def observe(self, managed: Injection) -> Observation:
        """Every board that should have it."""
        said = managed.parameters
        found = await targets(self._connection, said.board_id, said.fleet_id)
        if managed.deleting:
            return await self._leaving(managed, found)
        if found is None:
            raise NotYet(
                f"the endpoint has no {'board' if said.board_id else 'fleet'} {said.board_id or said.fleet_id}"
            )
        if not managed.external_name and not managed.uncertain:
            return self._first(found)
        wanted = await self._wanted(managed)
        asked = self._asked(managed)
        seen = await self._judged(managed, found, wanted, asked)
        if not managed.external_name and not any(one.hash for one in seen):
            return Observation(exists=False)
        leavers = await self._leavers(managed, found, asked)
        busy = await self._busy(asked)
        todo = [one for one in seen if one.inject or one.start or one.stop]
        told = observed(seen, self._common(managed, seen, wanted, asked), asked.request if busy else "")
        return Observation(
            exists=True,
            up_to_date=(not todo and not leavers) or busy,
            readiness=readiness(told, fleet=said.fleet_id is not None),
            at_provider=told,
            external_name=_name(managed),
            difference=_difference(todo, leavers),
            subjects=self._subjects(managed, found, asked),
        )

    async def create(self, managed: Injection) -> Creation:
        """The first round; whoever is left is a matter of updates."""
        said = managed.parameters
        found = await targets(self._connection, said.board_id, said.fleet_id)
        if found is None:
            raise NotYet(
                f"the endpoint has no {'board' if said.board_id else 'fleet'} {said.board_id or said.fleet_id}"
            )
        wanted, asked = await self._wanted(managed), self._asked(managed)
        can = [one.uuid for one in found if one.online or wanted.ours]
        await self._inject(managed, can, len(found), wanted, asked)
        return Creation(_name(managed), subjects=self._subjects(managed, found, asked))

    async def update(self, managed: Injection, seen: Observation) -> Change:  # noqa: ARG002
        """Whoever has it not as declared."""
        said = managed.parameters
        found = await targets(self._connection, said.board_id, said.fleet_id) or []
        wanted, asked = await self._wanted(managed), self._asked(managed)
        judged = await self._judged(managed, found, wanted, asked)
        inject = [one.target.uuid for one in judged if one.inject]
        if inject:
            await self._inject(managed, inject, len(found), wanted, asked)
        elif start := [one.target.uuid for one in judged if one.start]:
            await self._act(managed, start, len(found), "PluginStart", asked)
        elif stop := [one.target.uuid for one in judged if one.stop]:
            await self._act(managed, stop, len(found), "PluginStop", asked)
        for board in await self._leavers(managed, found, asked):
            await self._remove(managed, board)
            asked.boards.discard(board)
        return Change()

    async def delete(self, managed: Injection) -> None:
        """From every board that has it because of us."""
        said = managed.parameters
        found = await targets(self._connection, said.board_id, said.fleet_id) or []
        having = await self._having(managed, found)
        if self._connection.ours and said.fleet_id and len(having) > FEW:
            where = path("fleets", said.fleet_id, "plugins", said.plugin_id or "")
            await self._quiet(self._rest.act("DELETE", where))
            for board in having:
                self._rows.changed(board, said.plugin_id or "")
            return
        _raise_first(await each(having, lambda board: self._remove(managed, board)))

    # --- looking ------------------------------------------------------------------------------------------------------

    def _first(self, found: list[Target]) -> Observation:
        if not self._connection.ours and found and not any(target.online for target in found):
            names = ", ".join(target.name for target in found[:3])
            raise NotConnected(f"no board is connected ({names}): it gets the plugin when it comes")
        return Observation(exists=False)

    async def _wanted(self, managed: Injection) -> Wanted:
        plugin = managed.parameters.plugin_id
        row = await self._connection.lists.plugins.find(plugin) if plugin else None
        if row is None:
            raise NotYet(f"the endpoint has no plugin {plugin}" if plugin else "no plugin is named yet")
        if "code" not in row:
            row = await self._rest.get(path("plugins", text(row, "uuid")))
            self._connection.lists.plugins.learn(row)
        return Wanted(code_hash(read_code(row) or ""), managed.parameters, self._connection.ours)

    async def _judged(self, managed: Injection, found: list[Target], wanted: Wanted, asked: Asked) -> list[Seen]:
        plugin = managed.parameters.plugin_id or ""
        await self._rows.fill(managed.parameters.fleet_id, plugin, [target.uuid for target in found])
        rows = await each([target.uuid for target in found], lambda board: self._rows.get(board, plugin))
        before = _listed(managed)
        everywhere = str(managed.status.get("codeHash") or "")
        judged = []
        for target in found:
            row = rows[target.uuid]
            if isinstance(row, Exception):
                raise row
            known = asked.hashes.get(target.uuid) or before.get(target.uuid) or everywhere
            alive = await self._alive(target, row, plugin, wanted)
            judged.append(judge(target, row, wanted, known, alive))
        return judged

    async def _alive(self, target: Target, row: Any, plugin: str, wanted: Wanted) -> bool | None:
        """Whether it runs, where only the board itself can tell: OpenStack's IoTronic keeps no such state."""
        if wanted.ours or row is None or not target.online or wanted.said.state is RunState.INJECTED:
            return None
        body = {"action": "PluginStatus"}
        answer = await self._rest.call("POST", path("boards", target.uuid, "plugins", plugin), body)
        return "ALIVE" in str(answer.body)

    async def _leaving(self, managed: Injection, found: list[Target] | None) -> Observation:
        having = await self._having(managed, found or [])
        name = _name(managed) if managed.parameters.plugin_id else ""
        return Observation(
            exists=bool(having), external_name=name if having else "",
            subjects=self._subjects(managed, found or [], self._asked(managed)),
        )  # fmt: skip

    async def _having(self, managed: Injection, found: list[Target]) -> list[str]:
        """The boards that have it, those that left the fleet included, but none that somebody else gave it to."""
        plugin = managed.parameters.plugin_id
        if not plugin or not (managed.external_name or managed.uncertain):
            return []
        theirs = self._others(managed)
        boards = dict.fromkeys([*(one.uuid for one in found), *_listed(managed), *self._asked(managed).boards])
        await self._rows.fill(
            managed.parameters.fleet_id, plugin, [one.uuid for one in found if one.uuid not in theirs]
        )
        rows = await each(
            [board for board in boards if board not in theirs], lambda board: self._rows.get(board, plugin)
        )
        having = []
        for board, row in rows.items():
            if isinstance(row, Exception) and not isinstance(row, Absent):
                raise row
            if row is not None and not isinstance(row, Exception):
                having.append(board)
        return having

    async def _leavers(self, managed: Injection, found: list[Target], asked: Asked) -> list[str]:
        """Boards that got it with the fleet, and are no longer in it."""
        if managed.parameters.fleet_id is None:
            return []
        members = {target.uuid for target in found}
        before = ({*_listed(managed)} | asked.boards) - members
        if not before:
            return []
        return [board for board in await self._having(managed, []) if board in before]

    def _others(self, managed: Injection) -> set[str]:
        """Boards to which another object gives the same plugin."""
        theirs = set()
        for obj in self._world.neighbours.all(PLUGIN_INJECTION, managed.namespace):
            said = for_provider(obj)
            if obj["metadata"].get("uid") == managed.uid or said.get("pluginId") != managed.parameters.plugin_id:
                continue
            if said.get("boardId"):
                theirs.add(str(said["boardId"]))
            elif said.get("fleetId"):
                theirs |= {str(board["board"]) for board in _boards((obj.get("status") or {}).get("atProvider") or {})}
        return theirs

    async def _busy(self, asked: Asked) -> bool:
        """Whether what we asked is still being done: asking again would do it twice."""
        if not asked.request or self._world.now() - asked.at > PATIENCE:
            return False
        subject = frozenset({f"request:{asked.request}"})
        found = await self._connection.looks.get(path("requests", asked.request), lambda _: subject)
        if isinstance(found, dict) and found.get("status") == "PENDING":
            return True
        self._connection.looks.drop(path("requests", asked.request))
        asked.request = ""
        return False

    def _common(self, managed: Injection, seen: list[Seen], wanted: Wanted, asked: Asked) -> str:
        """The hash that every board has, where the endpoint does not tell; that outlives this process."""
        hashes = {one.hash for one in seen if one.hash}
        if wanted.ours or hashes <= {wanted.hash}:
            return wanted.hash
        return "" if asked.hashes else str(managed.status.get("codeHash") or "")

    def _subjects(self, managed: Injection, found: list[Target], asked: Asked) -> frozenset[str]:
        plugin = managed.parameters.plugin_id
        subjects = {f"board:{target.uuid}" for target in found}
        subjects |= {f"injection:{target.uuid}/{plugin}" for target in found}
        return frozenset(subjects | {f"request:{asked.request}"} if asked.request else subjects)

    # --- doing --------------------------------------------------------------------------------------------------------

    async def _inject(self, managed: Injection, boards: list[str], of: int, wanted: Wanted, asked: Asked) -> None:
        said = managed.parameters
        body = {"plugin": said.plugin_id, "onboot": said.onboot}
        asked.boards.update(boards)
        if said.fleet_id and self._connection.ours and len(boards) == of > FEW:
            answer = await self._rest.act("PUT", path("fleets", said.fleet_id, "plugins"), body)
            asked.request, asked.at = answer.request, self._world.now()
            for board in boards:
                self._rows.changed(board, said.plugin_id or "")
            return

        async def one(board: str) -> None:
            answer = await self._rest.act("PUT", path("boards", board, "plugins"), body)
            asked.hashes[board] = wanted.hash
            asked.request, asked.at = answer.request, self._world.now()
            self._rows.changed(board, said.plugin_id or "")

        _raise_first(await each(boards, one))

    async def _act(self, managed: Injection, boards: list[str], of: int, action: str, asked: Asked) -> None:
        said = managed.parameters
        body = {"action": action, "parameters": dict(said.parameters)}
        if said.fleet_id and self._connection.ours and len(boards) == of > FEW:
            answer = await self._rest.act("POST", path("fleets", said.fleet_id, "plugins", said.plugin_id or ""), body)
            asked.request, asked.at = answer.request, self._world.now()
            for board in boards:
                self._rows.changed(board, said.plugin_id or "")
            return

        async def one(board: str) -> None:
            try:
                answer = await self._rest.act("POST", path("boards", board, "plugins", said.plugin_id or ""), body)
            except Unknown as error:
                if "ALREADY STARTED" not in str(error):
                    raise
            else:
                asked.request, asked.at = answer.request, self._world.now()
            self._rows.changed(board, said.plugin_id or "")

        _raise_first(await each(boards, one))

    async def _remove(self, managed: Injection, board: str) -> None:
        plugin = managed.parameters.plugin_id or ""
        where = path("boards", board, "plugins", plugin)
        if not self._connection.ours and managed.parameters.state is RunState.RUNNING:
            await self._quiet(self._rest.call("POST", where, {"action": "PluginStop", "parameters": {}}))
        await self._quiet(self._rest.act("DELETE", where))
        self._rows.changed(board, plugin)

    async def _quiet(self, doing: Awaitable[Any]) -> None:
        """What is gone is as good."""
        try:
            await doing
        except Refused as error:
            if error.status != 404:
                raise

    def _asked(self, managed: Injection) -> Asked:
        found = self._connection.memory.setdefault(managed.uid, Asked())
        assert isinstance(found, Asked)
        return found


def _name(managed: Injection) -> str:
    said = managed.parameters
    return f"{said.board_id or said.fleet_id}/{said.plugin_id}"


def _difference(todo: list[Seen], leavers: list[str]) -> str:
    parts = [
        f"{number} boards {what}"
        for number, what in (
            (sum(one.inject for one in todo), "to be injected"),
            (sum(one.start for one in todo), "to be started"),
            (sum(one.stop for one in todo), "to be stopped"),
            (len(leavers), "that left the fleet"),
        )
        if number
    ]
    return ", ".join(parts)


def _boards(status: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return [board for board in status.get("boards") or () if isinstance(board, Mapping)]


def _listed(managed: Injection) -> dict[str, str]:
    """Board -> hash, as the status had them last."""
    return {str(board.get("board")): str(board.get("hash") or "") for board in _boards(managed.status)}


def _raise_first(done: Mapping[str, Any]) -> None:
    """One board that cannot must not hide that others did; what is left to do the next look sees."""
    errors = [error for error in done.values() if isinstance(error, Exception)]
    hard = [error for error in errors if not isinstance(error, NotConnected)]
    if hard:
        raise hard[0]
    if errors and len(errors) == len(done):
        raise errors[0]


def concerned(field_: str) -> Callable[[Kind, Object | None, Object | None, Neighbours], Iterable[Key]]:
    """The injections that name an object by that id field."""

    def found(_kind: Kind, old: Object | None, new: Object | None, neighbours: Neighbours) -> Iterable[Key]:
        obj = new or old
        assert obj is not None
        before, after = ((each.get("status") or {}).get("atProvider") if each else None for each in (old, new))
        name = external_name(obj)
        if not name or before == after:
            return
        for injection in neighbours.all(PLUGIN_INJECTION, obj["metadata"].get("namespace") or ""):
            if for_provider(injection).get(field_) == name:
                yield key_of(injection)

    return found


INJECTIONS: Driver[PluginInjectionParameters] = Driver(
    PLUGIN_INJECTION,
    PluginInjectionParameters,
    PluginInjections,
    (Reference("board", BOARD), Reference("fleet", FLEET), Reference("plugin", PLUGIN)),
    wakes={PLUGIN: concerned("pluginId"), FLEET: concerned("fleetId")},
)
