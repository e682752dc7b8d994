"""The exposed services of a board: kept open as the desired state says, through whatever breaks."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from continuo.iot.tunnels.client import NotOpen, Reverse

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

FIRST, LONGEST = 0.5, 30.0
"""Seconds between attempts to open a tunnel."""


@dataclass(slots=True)
class _Service:
    wanted: Json
    reverse: Reverse | None = None
    task: asyncio.Task[None] | None = None
    up: bool = False
    message: str = "connecting"


@dataclass(slots=True)
class Services:
    """The board's ends of its tunnels.

    `changed` is called whenever what `status` says may have changed. `tls` checks the hub's certificate.
    """

    changed: Callable[[], None]
    tls: ssl.SSLContext | None = None
    board: str | None = None
    rng: random.Random = field(default_factory=random.Random)
    pauses: tuple[float, float] = (FIRST, LONGEST)
    _services: dict[str, _Service] = field(default_factory=dict)

    async def set(self, desired: Mapping[str, Json]) -> None:
        """Have exactly these services exposed: uuid -> name, port, public_port, url, token."""
        gone = [uuid for uuid, has in self._services.items() if has.wanted != desired.get(uuid)]
        await asyncio.gather(*(self._stop(self._services.pop(uuid)) for uuid in gone))
        for uuid in desired.keys() - self._services.keys():
            service = self._services[uuid] = _Service(dict(desired[uuid]))
            service.task = asyncio.create_task(self._keep(service), name=f"service {uuid}")
        self.changed()

    def status(self) -> dict[str, dict[str, Any]]:
        """For each service: whether its tunnel is up, and a sentence."""
        return {uuid: {"up": each.up, "message": self._sentence(each)} for uuid, each in self._services.items()}

    async def close(self) -> None:
        """End all tunnels."""
        services, self._services = list(self._services.values()), {}
        await asyncio.gather(*(self._stop(service) for service in services))

    def _sentence(self, service: _Service) -> str:
        if service.up and service.reverse is not None and service.reverse.unreachable:
            return f"the tunnel is open, but {service.reverse.unreachable}"
        return service.message

    async def _stop(self, service: _Service) -> None:
        if service.task is not None:
            service.task.cancel()
            await asyncio.gather(service.task, return_exceptions=True)

    async def _keep(self, service: _Service) -> None:
        pause = self.pauses[0]
        while True:
            try:
                service.reverse = self._reverse(service.wanted)
            except (KeyError, TypeError, ValueError) as error:
                self._say(service, False, f"this service cannot be exposed: its description is wrong ({error!r})")
                return
            try:
                await service.reverse.run(lambda: self._say(service, True, "open"))
            except NotOpen as error:
                pause = self.pauses[0] if service.up else min(self.pauses[1], pause * 2)
                self._say(service, False, str(error))
            except Exception as error:
                log.exception("the tunnel of service %s failed", service.wanted.get("name"))
                self._say(service, False, f"the tunnel failed: {type(error).__name__}")
            await asyncio.sleep(pause * (0.5 + self.rng.random() / 2))

    def _reverse(self, wanted: Json) -> Reverse:
        return Reverse(
            str(wanted["url"]),
            int(wanted["public_port"]),
            ("127.0.0.1", int(wanted["port"])),
            token=str(wanted["token"]),
            board=self.board,
            tls=self.tls,
            changed=self.changed,
        )

    def _say(self, service: _Service, up: bool, message: str) -> None:
        if (service.up, service.message) != (up, message):
            service.up, service.message = up, message
            log.info(
                "service %s on public port %s: %s",
                service.wanted.get("name"),
                service.wanted.get("public_port"),
                message,
            )
            self.changed()
