"""All ports of a board: told whole what there should be, they are made, kept and removed."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from continuo.iot.agent.networks import desired, tap
from continuo.iot.agent.networks.link import Link, Maker, State
from continuo.trust.backoff import Backoff

Report = Callable[[Mapping[str, Mapping[str, Any]]], None]
FIRST, LONGEST = 0.2, 20.0
"""Seconds between attempts."""


def trusting(ca: Path | str | None) -> ssl.SSLContext:
    """TLS to a hub whose certificate is of this CA (None: of the system's); raises OSError, also where it is no CA."""
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass(frozen=True, slots=True)
class _Kept:
    link: Link
    task: asyncio.Task[None]


class Ports:
    """The ports of a board.

    `report` is called with the whole of them whenever one changes: {uuid: {"up", "vif", "message"}}.
    """

    def __init__(
        self, report: Report, tls: ssl.SSLContext, *, maker: Maker = tap.make, rng: random.Random | None = None
    ) -> None:
        self._report, self._tls, self._maker = report, tls, maker
        self._rng = rng or random.Random()
        self._kept: dict[str, _Kept] = {}
        self._state: dict[str, State] = {}
        self._lock = asyncio.Lock()

    async def set(self, ports: Mapping[str, Mapping[str, Any]]) -> None:
        """Have these ports and no others.

        One that is as before is not touched, so its connection holds; one that has only another token or hub keeps its TAP.
        """
        async with self._lock:
            before, wanted, bad = dict(self._state), *_read(ports)
            await self._stop(
                [uuid for uuid, kept in self._kept.items() if not _stays(kept.link.port, wanted.get(uuid))]
            )
            for uuid in [uuid for uuid in self._state if uuid not in wanted]:
                del self._state[uuid]
            self._state |= bad
            for uuid, port in wanted.items():
                if (kept := self._kept.get(uuid)) is None:
                    self._start(port)
                elif kept.link.port != port:
                    kept.link.change(port)
            if self._state != before:
                self._tell()

    def state(self) -> dict[str, dict[str, Any]]:
        """How every port is, as it is reported."""
        return {uuid: asdict(state) for uuid, state in self._state.items()}

    async def close(self) -> None:
        """Let all ports go; says nothing, since nothing is to be different."""
        async with self._lock:
            await self._stop(list(self._kept))

    def _start(self, port: desired.Port) -> None:
        self._state[port.uuid] = State(False, port.vif, f"connecting to {port.host}:{port.hub_port}")
        backoff = Backoff(FIRST, LONGEST, self._rng)
        link = Link(port, self._tls, self._maker, lambda state: self._hear(port.uuid, state), backoff)
        self._kept[port.uuid] = _Kept(link, asyncio.create_task(link.run(), name=f"port {port.uuid}"))

    async def _stop(self, uuids: list[str]) -> None:
        tasks = [self._kept.pop(uuid).task for uuid in uuids]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _hear(self, uuid: str, state: State) -> None:
        if uuid in self._kept and self._state.get(uuid) != state:
            self._state[uuid] = state
            self._tell()

    def _tell(self) -> None:
        self._report(self.state())


def _stays(port: desired.Port, wanted: desired.Port | None) -> bool:
    return wanted is not None and wanted.interface == port.interface


def _read(ports: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, desired.Port], dict[str, State]]:
    """The ports that can be, and what is wrong with the others."""
    good: dict[str, desired.Port] = {}
    bad: dict[str, State] = {}
    names: dict[str, str] = {}
    for uuid, told in ports.items():
        try:
            port = desired.read(uuid, told)
            if port.vif in names:
                raise ValueError(f"vif {port.vif} is port {names[port.vif]}'s already")
        except ValueError as error:
            bad[uuid] = State(False, str(told.get("vif", "")), str(error))
            continue
        names[port.vif] = uuid
        good[uuid] = port
    return good, bad
