"""A board: what it shall have, kept on disk and brought about; what it has, reported. It knows no connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from continuo.iot.agent.files import Damaged, Store
from continuo.iot.agent.parts import Part
from continuo.iot.agent.plugins.manager import Plugins
from continuo.iot.agent.plugins.spec import Policy

log = logging.getLogger(__name__)

PARTS = ("services", "ports", "workloads")


class BadDesire(ValueError):
    """A desired state that is none, in a sentence."""


class Board:
    """Plugins and parts under one desired state."""

    def __init__(
        self, store: Store, plugins: Plugins, parts: Mapping[str, Part], health: Callable[[], Mapping[str, Any]]
    ) -> None:
        self.plugins = plugins
        self.parts = dict(parts)
        self._store = store
        self._health = health
        self._wanted: dict[str, Any] | None = None
        self._told = asyncio.Event()
        self._writing = asyncio.Lock()

    async def restore(self) -> None:
        """What was there before a restart is there again, whether or not the hub is."""
        try:
            kept = self._store.get("desired") or {}
            self.plugins.policy = msgspec.convert(kept.get("policy", {}), Policy)
        except (Damaged, msgspec.ValidationError) as error:
            log.error("what the board should have is not known until the hub says it: %s", error)
            return
        await self.plugins.restore()
        for name, part in self.parts.items():
            await self._tell(name, part, kept.get(name, {}))

    async def desire(self, said: object) -> None:
        """Take in the whole desired state: it is on disk when this returns, and brought about after. Raises BadDesire."""
        if not isinstance(said, Mapping):
            raise BadDesire("a desired state is an object with policy, plugins, services, ports and workloads")
        for name in ("policy", "plugins", *PARTS):
            if not isinstance(said.get(name, {}), Mapping):
                raise BadDesire(f"{name} is an object, not {type(said[name]).__name__}")
        try:
            policy = msgspec.convert(said.get("policy", {}), Policy)
        except msgspec.ValidationError as error:
            raise BadDesire(f"policy: {error}") from None
        async with self._writing:
            await self._store.put("desired", {"policy": policy, **{name: said.get(name, {}) for name in PARTS}})
            self._wanted = dict(said)
            self._told.set()

    async def work(self) -> None:
        """Bring about what was last desired, for ever; what comes meanwhile replaces what was not begun."""
        while True:
            await self._told.wait()
            self._told.clear()
            wanted, self._wanted = self._wanted, None
            if wanted is None:
                continue
            try:
                policy = msgspec.convert(wanted.get("policy", {}), Policy)
                await self.plugins.set(wanted.get("plugins", {}), policy)
            except Exception:  # the loop goes on: the next desired state may be possible
                log.exception("the plugins could not be brought to their desired state")
            for name, part in self.parts.items():
                await self._tell(name, part, wanted.get(name, {}))

    async def _tell(self, name: str, part: Part, desired: Mapping[str, Any]) -> None:
        try:
            await part.set(desired)
        except Exception:  # one part's failure keeps the others from nothing
            log.exception("the %s could not be brought to their desired state", name)

    async def keep(self, name: str, uuid: str, wanted: Mapping[str, Any] | None) -> dict[str, Any]:
        """Change one service, port or workload of the desired state on disk (None: it goes); all of that part."""
        async with self._writing:
            kept = self._store.get("desired") or {}
            part: dict[str, Any] = dict(kept.get(name, {}))
            part.pop(uuid, None)
            if wanted is not None:
                part[uuid] = dict(wanted)
            await self._store.put("desired", {**kept, name: part})
        return part

    def kept(self, name: str) -> dict[str, Any]:
        """What there should be of a part."""
        return dict((self._store.get("desired") or {}).get(name, {}))

    def report(self) -> dict[str, Any]:
        """What the board has."""
        return {
            "plugins": self.plugins.status(),
            **{name: dict(self.parts[name].status()) if name in self.parts else {} for name in PARTS},
            "health": dict(self._health()),
        }

    async def forget(self) -> None:
        """End everything for good: after the next start nothing of it is there."""
        await self.desire({"policy": {}})
        await self.plugins.set({}, Policy())
        for name, part in self.parts.items():
            await self._tell(name, part, {})

    async def close(self) -> None:
        """End everything that runs; it shall run again after the next start."""
        await asyncio.gather(self.plugins.close(), *(part.close() for part in self.parts.values()))
