"""What is asked of boards and fleets: each as a request that is stored first, then done, and ends exactly once.

Our agents are told a desired state and report; other agents are called. Which of the two is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from continuo.iot import pickled
from continuo.iot.hub.calls import After, Calls
from continuo.iot.hub.desired import hash_of, injected, program_of
from continuo.iot.hub.expectations import expectation
from continuo.iot.hub.model import Board, Fleet, Injection, Json, Plugin, Request
from continuo.iot.hub.pushing import Pusher
from continuo.iot.hub.records import Change
from continuo.iot.hub.refusals import Refused, bad, failed, not_connected
from continuo.iot.hub.registry import Registry
from continuo.iot.hub.requests import Opened, Requests, text_of
from continuo.iot.wire import Message, Outcome

DEVICE_ACTIONS = (
    "DevicePing", "DeviceEcho", "DeviceReboot", "DeviceRestartLR", "DeviceUpgradeLR", "DeviceNetConfig",
    "DevicePkgOperation", "DeviceRestSubmit",
)  # fmt: skip
PLUGIN_ACTIONS = ("PluginStart", "PluginStop", "PluginCall", "PluginReboot", "PluginStatus")
_WITH_PARAMETERS = ("PluginStart", "PluginCall", "PluginReboot")
OFFLINE = "Board {} is not connected: it is told when it comes back."


@dataclass(frozen=True, slots=True)
class Manner:
    """How somebody asks."""

    at_once: bool = False
    """`Prefer: respond-async`: do not wait."""
    key: str | None = None
    """Idempotency-Key."""
    asked: str = ""
    """What is asked, as text: the same key for something else is refused."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it: the request, and the board's sentence where it ended."""

    request: Request
    outcome: Outcome
    message: str
    object: str | None = None
    """The object that was made, where the answer is a text."""
    accepted: bool = False
    """It goes on: the caller did not want to wait."""


@dataclass(frozen=True, slots=True)
class Part:
    """A request to one board, and what begins it once it is stored."""

    opened: Opened
    start: Callable[[], None]


Begin = Callable[[Change, Board, str | None], Part]
"""Writes one board's part of a request (the third argument) into a change."""


class RequestFailed(Refused):
    """A board could not do what a request wanted."""

    def __init__(self, why: Refused, request: Request) -> None:
        super().__init__(why.status, str(why))
        self.request = request


class Actions:
    """Device and plugin actions, on boards and fleets."""

    def __init__(self, registry: Registry, requests: Requests, calls: Calls, pusher: Pusher) -> None:
        self.registry, self.requests, self.calls, self.pusher = registry, requests, calls, pusher

    # one board

    async def device(self, board: Board, action: str, parameters: Json, manner: Manner) -> Answer:
        """A device action."""
        check_action(action, DEVICE_ACTIONS)
        return await self.one(board, manner, self._device(action, parameters))

    async def inject(self, board: Board, plugin: Plugin, onboot: bool, manner: Manner) -> Answer:
        """Let the board have the plugin, with its code as it is now."""
        return await self.one(board, manner, self._inject(plugin, onboot), lasting=True)

    async def remove(self, board: Board, plugin: Plugin, manner: Manner) -> Answer:
        """Let the board have the plugin no longer."""
        again = self.requests.repeated(board.project, manner.key, manner.asked)
        if again is None:
            self.registry.injection(board, plugin)
        lasting = self.registry.speaks_desire(board)
        return await self.one(board, manner, self._remove(plugin), lasting=lasting, patient=lasting)

    async def plugin(self, board: Board, plugin: Plugin, action: str, parameters: Json, manner: Manner) -> Answer:
        """An action of a plugin that the board has."""
        check_action(action, PLUGIN_ACTIONS)
        check_parameters(plugin, action, parameters)
        self.registry.injection(board, plugin)
        return await self.one(board, manner, self._plugin(plugin, action, parameters))

    async def one(
        self, board: Board, manner: Manner, begin: Begin, *, lasting: bool = False, patient: bool = False
    ) -> Answer:
        """Store and begin a request to a board, and wait for its end as the caller likes.

        `lasting`: it says a desired state, so a board that is offline may be told later, if the caller does not wait;
        `patient`: even if the caller waits.
        """
        again = self.requests.repeated(board.project, manner.key, manner.asked)
        if again is not None:
            return await self.answer(again.request, manner, again.object)
        online = self.calls.online(board)
        if not online and not (lasting and (manner.at_once or patient)):
            raise not_connected(board.uuid)
        change = Change()
        part = begin(change, board, None)
        self.requests.remember(change, board.project, manner.key, manner.asked, part.opened.request.uuid)
        await self.go(change, [part])
        return await self.answer(part.opened.request.uuid, manner)

    async def go(self, change: Change, parts: list[Part]) -> None:
        """Store what begins, and begin it."""
        await self.registry.records.commit(change)
        for part in parts:
            part.start()

    async def answer(self, request: str, manner: Manner, object: str | None = None) -> Answer:
        """How a request stands, after waiting for it as the caller likes; raises Refused for one that failed."""
        found = self.requests.get(request)
        assert found is not None
        if not found.done and not manner.at_once:
            await self.requests.wait(request, self.registry.setting.patience)
            found = self.requests.get(request) or found
        if manner.at_once:
            return Answer(found, Outcome.RUNNING, "", object, accepted=True)
        results = self.requests.results(found)
        if found.fleet:
            return Answer(found, Outcome.SUCCESS, "", object)
        result = results[0]
        outcome = Outcome(result.result)
        if outcome is Outcome.ERROR:
            if result.message == f"Board {result.board} is not connected.":
                raise not_connected(result.board)
            raise RequestFailed(failed(found.action, result.board, result.message), found)
        return Answer(found, outcome, result.message or f"request {request} goes on", object)

    # a fleet

    async def fleet_device(self, fleet: Fleet, action: str, parameters: Json, manner: Manner) -> Answer:
        """A device action for each board of a fleet."""
        check_action(action, DEVICE_ACTIONS)
        return await self.fleet(fleet, action, manner, self._device(action, parameters))

    async def fleet_inject(self, fleet: Fleet, plugin: Plugin, onboot: bool, manner: Manner) -> Answer:
        """Let each board of a fleet have the plugin."""
        return await self.fleet(fleet, "PluginInject", manner, self._inject(plugin, onboot), lasting=True)

    async def fleet_remove(self, fleet: Fleet, plugin: Plugin, manner: Manner) -> Answer:
        """Let no board of a fleet have the plugin."""
        table = self.registry.table(Injection)

        def having(board: Board) -> bool:
            return table.get(f"{board.uuid}/{plugin.uuid}") is not None

        return await self.fleet(fleet, "PluginRemove", manner, self._remove(plugin), lasting=True, only=having)

    async def fleet_plugin(
        self, fleet: Fleet, plugin: Plugin, action: str, parameters: Json, manner: Manner
    ) -> Answer:  # fmt: skip
        """An action of a plugin at each board of a fleet that has it."""
        check_action(action, PLUGIN_ACTIONS)
        check_parameters(plugin, action, parameters)
        table = self.registry.table(Injection)

        def having(board: Board) -> bool:
            return table.get(f"{board.uuid}/{plugin.uuid}") is not None

        return await self.fleet(fleet, action, manner, self._plugin(plugin, action, parameters), only=having)

    async def fleet(
        self, fleet: Fleet, action: str, manner: Manner, begin: Begin, *, lasting: bool = False,
        only: Callable[[Board], bool] = lambda _: True,
    ) -> Answer:  # fmt: skip
        """One main request, and a child with a result for each board."""
        again = self.requests.repeated(fleet.project, manner.key, manner.asked)
        if again is not None:
            return await self.answer(again.request, manner, again.object)
        boards = [board for board in self.registry.table(Board).by("fleet", fleet.uuid) if only(board)]
        change = Change()
        main = self.requests.open_fleet(change, fleet, action, len(boards))
        self.requests.remember(change, fleet.project, manner.key, manner.asked, main.uuid)
        parts = []
        for board in boards:
            if lasting or self.calls.online(board):
                parts.append(begin(change, board, main.uuid))
            else:
                parts.append(self._absent(change, board, action, main.uuid))
        await self.go(change, parts)
        return await self.answer(main.uuid, manner)

    # what each is for one board

    def _absent(self, change: Change, board: Board, action: str, main: str | None) -> Part:
        opened = self.requests.open(change, board, action, main=main)
        end = self.requests.end(opened.request.uuid, Outcome.ERROR, f"Board {board.uuid} is not connected.")
        return Part(opened, lambda: self.calls.spawn(end))

    def calling(
        self, change: Change, board: Board, main: str | None, method: str, *arguments: Any, object: str = "",
        after: After | None = None,
    ) -> Part:  # fmt: skip
        """A part that is a call, and ends with its answer."""
        opened = self.requests.open(change, board, method, main=main)
        return Part(
            opened, lambda: self.calls.spawn(self.calls.make(opened, method, *arguments, object=object, after=after))
        )

    def wishing(self, change: Change, board: Board, main: str | None, action: str, expect: Json) -> Part:
        """A part that is a change of the desired state, and ends with the board's report."""
        opened = self.requests.open(change, board, action, expect, main)
        return Part(opened, lambda: self.calls.spawn(self._tell(opened)))

    async def _tell(self, opened: Opened) -> None:
        board = opened.request.destination
        if self.registry.online(board):
            await self.requests.reported(board)  # it may have it already
            self.pusher.push(board)
        else:
            await self.requests.end(opened.request.uuid, Outcome.WARNING, OFFLINE.format(board))

    def _device(self, action: str, parameters: Json) -> Begin:
        return lambda change, board, main: self.calling(change, board, main, action, parameters)

    def _inject(self, plugin: Plugin, onboot: bool) -> Begin:
        return lambda change, board, main: self._inject_one(change, board, main, plugin, onboot)

    def _inject_one(self, change: Change, board: Board, main: str | None, plugin: Plugin, onboot: bool) -> Part:
        registry = self.registry
        key = f"{board.uuid}/{plugin.uuid}"
        old = registry.table(Injection).get(key)
        wishes = registry.speaks_desire(board)
        if old is None:
            row = Injection(
                uuid=key, created_at=registry.now(), board=board.uuid, plugin=plugin.uuid, onboot=onboot, told=wishes
            )
        else:
            pinned = old.pinned if program_of(plugin) == old.pinned else {}
            row = registry.stamped(old, onboot=onboot, status="updated", told=wishes, pinned=pinned)
        change.add(row).event(
            board.project, "injection.changed", board=board.uuid, object=plugin.uuid, plugin=plugin.uuid
        )
        say = f"PluginInject result: {'INJECTED' if old is None else 'UPDATED'}"
        if wishes:
            expect = expectation("plugins", plugin.uuid, "present", say, hash=hash_of(plugin.code))
            return self.wishing(change, board, main, "PluginInject", expect)
        if not self.calls.online(board):
            opened = self.requests.open(change, board, "PluginInject", main=main)
            end = self.requests.end(opened.request.uuid, Outcome.WARNING, OFFLINE.format(board.uuid))
            return Part(opened, lambda: self.calls.spawn(end))
        return self.calling(
            change, board, main, "PluginInject", plugin_wire(plugin), onboot, object=plugin.uuid,
            after=lambda message: self._injected(key, message, new=old is None),
        )  # fmt: skip

    async def _injected(self, key: str, message: Message, *, new: bool) -> None:
        found = self.registry.table(Injection).get(key)
        if found is None:
            return
        if message.result is Outcome.ERROR:
            change = Change().remove(found) if new else Change()
        else:
            change = Change().add(self.registry.stamped(found, told=True))
        await self.registry.records.commit(change)

    def _remove(self, plugin: Plugin) -> Begin:
        return lambda change, board, main: self._remove_one(change, board, main, plugin)

    def _remove_one(self, change: Change, board: Board, main: str | None, plugin: Plugin) -> Part:
        key, uuid = f"{board.uuid}/{plugin.uuid}", plugin.uuid
        if self.registry.speaks_desire(board):
            found = self.registry.table(Injection).get(key)
            if found is not None:
                change.remove(found).event(
                    board.project, "injection.changed", board=board.uuid, object=uuid, plugin=uuid, state="gone"
                )
            expect = expectation("plugins", uuid, "absent", f"PluginRemove result: {uuid} removed!")
            return self.wishing(change, board, main, "PluginRemove", expect)
        if not self.calls.online(board):
            return self._absent(change, board, "PluginRemove", main)
        return self.calling(
            change, board, main, "PluginRemove", uuid, object=uuid, after=lambda message: self._removed(key, message)
        )

    async def _removed(self, key: str, message: Message) -> None:
        """Lightning-rod's second removal fails since there is nothing any more, which is what was wanted."""
        found = self.registry.table(Injection).get(key)
        if found is not None and (message.result is not Outcome.ERROR or "do not exist" in text_of(message)):
            await self.registry.records.commit(Change().remove(found))

    def _plugin(self, plugin: Plugin, action: str, parameters: Json) -> Begin:
        return lambda change, board, main: self._plugin_one(change, board, main, plugin, action, parameters)

    def _plugin_one(
        self, change: Change, board: Board, main: str | None, plugin: Plugin, action: str, parameters: Json
    ) -> Part:
        registry, uuid = self.registry, plugin.uuid
        row = registry.table(Injection).get(f"{board.uuid}/{uuid}")
        assert row is not None, "an action is for plugins that the board has"
        if action == "PluginStatus":
            return self.calling(change, board, main, action, uuid)
        if action not in ("PluginStart", "PluginStop") or not registry.speaks_desire(board):
            return self.calling(
                change, board, main, action, uuid, parameters, object=uuid,
                after=lambda message: self._started(row.uuid, action, parameters, message),
            )  # fmt: skip
        running = action == "PluginStart"
        change.add(registry.stamped(row, running=running, parameters=parameters if running else row.parameters))
        want, say = ("running", "STARTED") if running else ("stopped", "STOPPED")
        expect = expectation("plugins", uuid, want, say, hash=hash_of(injected(plugin, row).code))
        return self.wishing(change, board, main, action, expect)

    async def _started(self, key: str, action: str, parameters: Json, message: Message) -> None:
        """What the board should have after a call that went well."""
        found = self.registry.table(Injection).get(key)
        if found is None or message.result is Outcome.ERROR or action == "PluginCall":
            return
        running = action != "PluginStop"
        change = self.registry.stamped(found, running=running, parameters=parameters if running else found.parameters)
        await self.registry.records.commit(Change().add(change))

    # when a board comes

    async def catch_up(self, board: Board) -> None:
        """Tell a board that came what it has missed."""
        if self.registry.speaks_desire(board):
            self.pusher.push(board.uuid)
            return
        change, parts = Change(), []
        for row in self.registry.table(Injection).by("board", board.uuid):
            plugin = self.registry.table(Plugin).get(row.plugin)
            if plugin is not None and not row.told:
                parts.append(self._inject_one(change, board, None, injected(plugin, row), row.onboot))
        if parts:
            await self.go(change, parts)


def plugin_wire(plugin: Plugin) -> Json:
    """A plugin as Lightning-rod is told of it."""
    return {
        "uuid": plugin.uuid, "name": plugin.name, "code": pickled.dumps(plugin.code), "callable": plugin.callable,
        "public": plugin.public, "owner": plugin.owner, "parameters": plugin.parameters, "extra": plugin.extra,
        "created_at": plugin.created_at, "updated_at": plugin.updated_at,
    }  # fmt: skip


def check_action(action: str, known: tuple[str, ...]) -> None:
    """Raise Refused for an action that there is not."""
    if action not in known:
        raise bad(f"action: {action!r} is none of {', '.join(known)}")


def check_parameters(plugin: Plugin, action: str, parameters: Json) -> None:
    """Raise Refused where a parameter of the plugin's is missing."""
    missing = [key for key in plugin.parameters if key not in parameters]
    if action in _WITH_PARAMETERS and missing:
        raise bad(f"parameters: plugin {plugin.uuid} needs {', '.join(missing)} too")
