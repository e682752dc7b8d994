"""What the hub may call on a board: IoTronic's procedures, as Lightning-rod answers them, and `Desire`."""

from __future__ import annotations

import asyncio
import logging
import platform
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from continuo.iot.agent import device
from continuo.iot.agent.board import BadDesire, Board
from continuo.iot.agent.device import Device, Refusal
from continuo.iot.agent.plugins import spec
from continuo.iot.agent.plugins.manager import Busy
from continuo.iot.agent.plugins.process import Failed
from continuo.iot.agent.plugins.spec import NotAllowed
from continuo.iot.wire import Message, Outcome

log = logging.getLogger(__name__)

SOON = 40.0
"""Seconds after which a call is answered RUNNING, and its end notified: callers give up at fifty."""

Notify = Callable[[Message], Awaitable[None]]
Method = Callable[..., Awaitable[Message]]


def success(message: Any) -> Message:
    """It is done."""
    return Message(message, Outcome.SUCCESS)


class Calls:
    """The methods by name, each answering with a message whatever happens."""

    def __init__(self, board: Board, machine: Device, notify: Notify, soon: float = SOON) -> None:
        self._board, self._device, self._notify, self._soon = board, machine, notify, soon
        self._later: set[asyncio.Task[None]] = set()
        self.methods: dict[str, Method] = {
            "Desire": self.desire,
            "PluginInject": self.plugin_inject, "PluginRemove": self.plugin_remove, "PluginStart": self.plugin_start,
            "PluginStop": self.plugin_stop, "PluginCall": self.plugin_call, "PluginReboot": self.plugin_reboot,
            "PluginStatus": self.plugin_status, "PluginLogs": self.plugin_logs,
            "DevicePing": self.ping, "DeviceEcho": self.echo, "DeviceNetConfig": self.net_config,
            "DeviceReboot": self._of_device(machine.reboot), "DeviceRestartLR": self._of_device(machine.restart),
            "DeviceFactoryReset": self._of_device(machine.factory_reset),
            "DevicePkgOperation": self._of_device(machine.package), "DeviceRestSubmit": self._of_device(machine.rest),
            "DeviceMountFs": self._of_device(machine.mount), "DeviceUpgradeLR": self._of_device(machine.upgrade),
        }  # fmt: skip

    async def answer(self, name: str, *arguments: Any) -> str:
        """Call a method as it came over the wire; its message as text."""
        request, rest = _request(arguments)
        identity = request.get("uuid") if request else None
        try:
            message = await self._within(self.methods[name](*rest), identity)
        except (Refusal, BadDesire, NotAllowed, Failed, LookupError, ValueError, TypeError) as error:
            message = Message(_sentence(error), Outcome.ERROR)
        except Busy as error:
            message = Message(str(error), Outcome.WARNING)
        if isinstance(identity, str):
            message = Message(message.message, message.result, identity)
        return message.encode()

    async def _within(self, work: Awaitable[Message], request: Any) -> Message:
        """Its message, or RUNNING where it takes longer and there is a request by which its end can be told."""
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait({task}, timeout=self._soon if isinstance(request, str) else None)
        if done:
            return await task
        later = asyncio.get_running_loop().create_task(self._tell(task, str(request)))
        self._later.add(later)
        later.add_done_callback(self._later.discard)
        return Message("it goes on; its end will be told", Outcome.RUNNING)

    async def _tell(self, task: asyncio.Future[Message], request: str) -> None:
        try:
            message = await task
        except Busy as error:
            message = Message(str(error), Outcome.WARNING)
        except Exception as error:  # whoever asked hears of every end
            message = Message(_sentence(error), Outcome.ERROR)
        await self._notify(Message(message.message, message.result, request))

    # What there shall be

    async def desire(self, said: Any) -> Message:
        """The whole desired state."""
        await self._board.desire(said)
        return success("the board works on it")

    # Plugins

    async def plugin_inject(self, plugin: Any, onboot: Any = False) -> Message:
        """Have a plugin."""
        if not isinstance(plugin, Mapping):
            raise NotAllowed("a plugin is an object with uuid, name and code")
        uuid, read = spec.from_iotronic(plugin, bool(onboot))
        there = await self._board.plugins.inject(uuid, read)
        return success(f"PluginInject result: {'UPDATED' if there else 'INJECTED'}")

    async def plugin_remove(self, uuid: str) -> Message:
        """Have it no more; also where it was not there."""
        there = await self._board.plugins.remove(uuid)
        return success(f"PluginRemove result: {uuid} {'removed!' if there else 'was not there'}")

    async def plugin_start(self, uuid: str, parameters: Any = None) -> Message:
        """Let it run."""
        await self._board.plugins.start(uuid, _parameters(parameters))
        return success("STARTED")

    async def plugin_stop(self, uuid: str, parameters: Any = None) -> Message:
        """Let it run no more."""
        delay = (_parameters(parameters) or {}).get("delay", 0)
        ran = await self._board.plugins.stop(uuid, float(delay))
        return success("STOPPED") if ran else Message(f"{uuid} is not running", Outcome.WARNING)

    async def plugin_reboot(self, uuid: str, parameters: Any = None) -> Message:
        """Run it anew."""
        await self._board.plugins.reboot(uuid, _parameters(parameters))
        return success("REBOOTED")

    async def plugin_call(self, uuid: str, parameters: Any = None) -> Message:
        """Run it for its result."""
        return success(await self._board.plugins.call(uuid, _parameters(parameters)))

    async def plugin_status(self, uuid: str) -> Message:
        """Whether it runs."""
        return success("ALIVE" if self._board.plugins.alive(uuid) else "DEAD")

    async def plugin_logs(self, uuid: str) -> Message:
        """The end of what it printed."""
        return success(self._board.plugins.logs(uuid))

    # The machine

    async def ping(self, *_parameters: Any) -> Message:
        """Who answers, and when."""
        return success(f"{platform.node()} @ {device.now()}")

    async def echo(self, parameters: Any = None) -> Message:
        """What was said."""
        said = parameters.get("say", "") if isinstance(parameters, Mapping) else parameters
        return success(f"{said} @ {device.now()}")

    async def net_config(self, *_parameters: Any) -> Message:
        """Interfaces and addresses."""
        return success(await device.net_config())

    def _of_device(self, method: Callable[[Mapping[str, Any]], Awaitable[Any]]) -> Method:
        async def called(parameters: Any = None, *_more: Any) -> Message:
            return success(await method(_parameters(parameters) or {}))

        return called


def _request(arguments: tuple[Any, ...]) -> tuple[Mapping[str, Any] | None, tuple[Any, ...]]:
    """Hubs put the request first, to old boards they did not: it is an object that names its destination."""
    first = arguments[0] if arguments else None
    if isinstance(first, Mapping) and {"uuid", "destination_uuid"} <= first.keys():
        return first, arguments[1:]
    if first is None and arguments:
        return None, arguments[1:]
    if isinstance(first, Mapping) and "main_request_uuid" in first:
        return first, arguments[1:]
    return None, arguments


def _parameters(said: Any) -> Mapping[str, Any] | None:
    if said is None or said == "":
        return None
    if not isinstance(said, Mapping):
        raise Refusal(f"parameters are an object, not {type(said).__name__}")
    return said


def _sentence(error: BaseException) -> str:
    """A LookupError of ours says a sentence; what else is raised says also what it is."""
    text = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    return text if not isinstance(error, TypeError) else f"these are not its arguments: {text}"
