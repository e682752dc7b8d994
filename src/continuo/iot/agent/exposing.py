"""What hubs of IoTronic call for services, virtual interfaces and workloads. The desired state says the same, and more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from continuo.iot.agent.board import Board
from continuo.iot.agent.device import Refusal
from continuo.iot.wire import Message, Outcome

WAIT = 25.0
"""Seconds that a call waits for more to be printed."""

Method = Callable[..., Awaitable[Message]]


@runtime_checkable
class Kept(Protocol):
    """What a part that keeps logs and results answers."""

    async def logs(self, uuid: str, tail: int = 200) -> str: ...

    async def follow(self, uuid: str, since: int | None, seconds: float, tail: int | None) -> Any: ...

    async def results(self, uuid: str) -> Any: ...


class Exposing:
    """The methods by name."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.methods: dict[str, Method] = {
            "ServiceEnable": self.enable, "ServiceRestore": self.enable, "ServiceDisable": self.disable,
            "ServicesStatus": self.services, "Create_VIF": self.no_vif, "Configure_VIF": self.no_vif,
            "Remove_VIF": self.remove_vif, "WorkloadLogs": self.logs, "WorkloadFollow": self.follow,
            "WorkloadResults": self.results,
        }  # fmt: skip

    async def enable(self, service: Any, public_port: Any = None) -> Message:
        """Have this service exposed; a hub of ours has told how, by the desired state or with the call."""
        uuid, said = _service(service)
        wanted = self._board.kept("services").get(uuid)
        if said.get("url") and said.get("token"):
            wanted = {"name": said.get("name", uuid), "port": said.get("port"), "public_port": public_port,
                      "url": said["url"], "token": said["token"]}  # fmt: skip
        if wanted is None:
            raise Refusal("a service is opened with an address and a token, which the hub tells with the desired state")
        await self._set("services", uuid, wanted)
        text = f"Cloud service '{wanted.get('name', uuid)}' exposed on port {wanted.get('public_port')}"
        return Message(text, Outcome.SUCCESS)

    async def disable(self, service: Any) -> Message:
        """Expose it no more; also where it was not."""
        uuid, said = _service(service)
        await self._set("services", uuid, None)
        return Message(f"Cloud service '{said.get('name', uuid)}' tunnel disabled.", Outcome.SUCCESS)

    async def services(self) -> Message:
        """Each with its state."""
        status = self._board.parts["services"].status()
        lines = [
            f"{uuid}: {'up' if each.get('up') else 'down'} {each.get('message', '')}" for uuid, each in status.items()
        ]
        return Message("\n".join(lines) or "no services", Outcome.SUCCESS)

    async def no_vif(self, *_arguments: Any) -> Message:
        """IoTronic's interfaces are unencrypted and without frames' borders."""
        raise Refusal(
            "interfaces come to this board encrypted, with the desired state; socat's over a port are not made"
        )

    async def remove_vif(self, name: Any) -> Message:
        """Remove the port whose interface this is; also where there is none."""
        for uuid, port in self._board.kept("ports").items():
            if port.get("vif") == name:
                await self._set("ports", uuid, None)
        return Message("VIF removed", Outcome.SUCCESS)

    async def logs(self, uuid: str, tail: Any = None) -> Message:
        """The end of what a workload printed."""
        return Message(await self._kept().logs(uuid, int(tail or 200)), Outcome.SUCCESS)

    async def follow(self, uuid: str, since: Any = None, tail: Any = None) -> Message:
        """What a workload printed from a place on, as soon as there is more; without a place its last lines."""
        said = await self._kept().follow(
            uuid, None if since is None else int(since), WAIT, None if tail is None else int(tail)
        )
        return Message(said, Outcome.SUCCESS)

    async def results(self, uuid: str) -> Message:
        """The files that it left as its results."""
        return Message(await self._kept().results(uuid), Outcome.SUCCESS)

    def _kept(self) -> Kept:
        part = self._board.parts["workloads"]
        if not isinstance(part, Kept):
            raise Refusal("this agent runs no workloads")
        return part

    async def _set(self, part: str, uuid: str, wanted: Mapping[str, Any] | None) -> None:
        await self._board.parts[part].set(await self._board.keep(part, uuid, wanted))


def _service(said: Any) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(said, Mapping) or not isinstance(said.get("uuid"), str):
        raise Refusal("a service is an object with uuid, name and port")
    return said["uuid"], said
